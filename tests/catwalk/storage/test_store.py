"""S3 through a real server: one clear line for every error. `test_stores.py` has the successful cases."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from catwalk.errors import ConfigError, StoreError, StoreUnavailableError
from catwalk.storage.opening import open_store
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from stack.ports import free_port
from tests.support.servers import ENVIRONMENT, S3Server

pytestmark = pytest.mark.integration


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_a_missing_bucket_is_one_line(s3_store: Store) -> None:
    with pytest.raises(
        StoreError, match=r"bucket 'nowhere' does not exist at .*create it or change CATWALK_STORE"
    ) as caught:
        S3Store("s3://nowhere").check()
    one_line(caught.value)
    assert not isinstance(caught.value, StoreUnavailableError)


def test_wrong_credentials_are_one_line(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "wrong")
        with pytest.raises(StoreError, match=r"refused the credentials .*AWS_ACCESS_KEY_ID") as caught:
            S3Store(s3_store.url).check()
        one_line(caught.value)
        assert not isinstance(caught.value, StoreUnavailableError)


def test_no_credentials_are_one_line(s3_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no S3 credentials; set AWS_ACCESS_KEY_ID"):
        S3Store(s3_store.url).check()


def test_an_unreachable_host_is_a_temporary_error(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match=r"S3 at http://127\.0\.0\.1:\d+ does not answer") as caught:
        S3Store(s3_store.url).get("x")
    one_line(caught.value)


def test_an_unresolvable_host_is_a_temporary_error(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://nowhere.invalid:7070")
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        S3Store(s3_store.url).check()


@pytest.mark.parametrize("url", ["", "catwalk", "http://x", "s3://", "s3:///x"])
def test_a_malformed_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="CATWALK_STORE"):
        S3Store(url)


def test_an_unset_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATWALK_STORE", raising=False)
    with pytest.raises(ConfigError, match="CATWALK_STORE is not set"):
        open_store()


def test_a_full_disk_is_one_line_and_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's data on a file system of 4 MiB, in its own mount namespace."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: a full disk, because this user may not mount a small file system")
    try:
        server = S3Server(folder)
        server.start()
        try:
            for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": server.url}.items():
                monkeypatch.setenv(name, value)
            store = S3Store(f"s3://{server.bucket()}")
            store.put("checkpoint", b"old")
            with pytest.raises(StoreError, match="checkpoint") as caught:
                store.put("checkpoint", os.urandom(8 << 20))
            assert "disk" in one_line(caught.value)
            assert store.get("checkpoint").body == b"old"
        finally:
            server.stop()
    finally:
        subprocess.run(["umount", str(folder)], check=True)
