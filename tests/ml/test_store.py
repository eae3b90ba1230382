"""S3 through a real server: conditional writes, listings, and one clear line for everything that goes wrong."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from catwalk.errors import ConfigError, NotFoundError, PreconditionFailedError, StoreError, StoreUnavailableError
from catwalk.storage.opening import open_store
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from tests.servers import ENVIRONMENT, S3Server, free_port

pytestmark = pytest.mark.integration


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_what_was_put_is_got_and_deleted(s3_store: Store) -> None:
    etag = s3_store.put("a/b.bin", b"\0\1")
    assert s3_store.get("a/b.bin").body == b"\0\1"
    assert s3_store.get("a/b.bin").etag == etag
    assert s3_store.exists("a/b.bin")
    s3_store.delete("a/b.bin")
    s3_store.delete("a/b.bin")
    assert not s3_store.exists("a/b.bin")
    assert s3_store.find("a/b.bin") is None
    with pytest.raises(NotFoundError, match=r"a/b\.bin does not exist"):
        s3_store.get("a/b.bin")


def test_create_writes_only_where_nothing_is(s3_store: Store) -> None:
    s3_store.put("once", b"first", create=True)
    with pytest.raises(PreconditionFailedError):
        s3_store.put("once", b"second", create=True)
    assert s3_store.get("once").body == b"first"


def test_if_match_replaces_only_what_was_read(s3_store: Store) -> None:
    first = s3_store.put("x", b"1")
    second = s3_store.put("x", b"2", if_match=first)
    with pytest.raises(PreconditionFailedError):
        s3_store.put("x", b"3", if_match=first)
    assert s3_store.get("x").body == b"2"
    s3_store.put("x", b"4", if_match=second)


def test_a_retried_put_recognises_its_own_first_try(s3_store: Store) -> None:
    """The first try arrived, its answer was lost, and the retry is refused by what it wrote itself."""
    first = s3_store.put("x", b"1")
    ours = s3_store.put("x", b"mine", if_match=first)
    assert s3_store.put("x", b"mine", if_match=first) == ours
    assert s3_store.put("y", b"mine", create=True) == s3_store.put("y", b"mine", create=True)


@pytest.mark.parametrize("round_number", range(5))
def test_of_32_swaps_at_once_one_wins(s3_store: Store, round_number: int) -> None:
    etag = s3_store.put("champion", b"old")
    start = Barrier(32)

    def swap(writer: int) -> bool:
        start.wait()
        try:
            s3_store.put("champion", f"writer {writer}".encode(), if_match=etag)
        except PreconditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(32) as pool:
        won = [writer for writer, success in enumerate(pool.map(swap, range(32))) if success]
    assert len(won) == 1
    assert s3_store.get("champion").body == f"writer {won[0]}".encode()


def test_a_listing_goes_beyond_one_page(s3_store: Store) -> None:
    keys = [f"many/{number:04d}" for number in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3_store.put(key, b""), keys))
    assert [entry.key for entry in s3_store.list("many/")] == keys


def test_each_request_is_reported_with_its_outcome(s3_store: Store) -> None:
    seen: list[tuple[str, bool]] = []
    store = S3Store(s3_store.url, lambda operation, seconds, failed: seen.append((operation, failed)))
    store.put("x", b"")
    store.find("nothing")
    store.exists("x")
    list(store.list(""))
    store.delete("x")
    assert seen == [("put", False), ("get", False), ("head", False), ("list", False), ("delete", False)]


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


def test_an_unreachable_host_may_pass(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match=r"S3 at http://127\.0\.0\.1:\d+ does not answer") as caught:
        S3Store(s3_store.url).get("x")
    one_line(caught.value)


def test_an_unresolvable_host_may_pass(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """The server's data on a file system of 4 MiB, in a mount namespace of its own."""
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
