"""The published files: read in place, by different users, and downloaded if they are missing."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catwalk.errors import DatasetError, DownloadError
from ml.fashion_mnist import dataset, published
from ml.fashion_mnist.config import DataConfig
from ml.fashion_mnist.dataset import read_splits
from ml.fashion_mnist.published import raw_folder

CONFIG = DataConfig(train_examples=100, validation_examples=50)
IMAGES = "train-images-idx3-ubyte"
NOBODY = 65_534


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Runs as an ordinary user, because no folder is read-only for root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="catwalk-test-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def files(place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A published dataset of 300 images, in a project that has none yet."""
    made = {}
    for name, magic, count in (("train", (0x803, 0x801), 200), ("t10k", (0x803, 0x801), 100)):
        pixels = np.random.default_rng(count).integers(0, 256, count * 784, dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        made[f"{name}-images-idx3-ubyte"] = struct.pack(">4i", magic[0], count, 28, 28), pixels.tobytes()
        made[f"{name}-labels-idx1-ubyte"] = struct.pack(">2i", magic[1], count), labels.tobytes()
    whole = {name: header + body for name, (header, body) in made.items()}
    facts = {name: (made[name][0], len(body), hashlib.md5(body).hexdigest()) for name, body in whole.items()}
    monkeypatch.setattr(published, "FILES", facts)
    monkeypatch.setattr(dataset, "PROJECT", place / "project")
    (place / "project").mkdir()
    for variable in ("CATWALK_DATASET_ROOT", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return whole


def packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def put(root: Path, files: dict[str, bytes], *, compressed: bool = False) -> Path:
    """Writes the files below a root; returns their folder."""
    raw = raw_folder(root)
    raw.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (raw / f"{name}.gz" if compressed else raw / name).write_bytes(packed(body) if compressed else body)
    return raw


def is_read(files: dict[str, bytes]) -> None:
    splits = read_splits(CONFIG)
    assert splits["test"].images.numpy().tobytes() == files["t10k-images-idx3-ubyte"][16:]
    assert (len(splits["train"]), len(splits["validation"])) == (100, 50)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_existing_files_need_no_write_access(
    named: bool, compressed: bool, files: dict[str, bytes], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = place / "project" / "data"
    put(data, files, compressed=compressed)
    before = sorted(path.name for path in data.rglob("*"))
    for folder in (data, data / "FashionMNIST", raw_folder(data)):
        folder.chmod(0o555)
    if named:
        monkeypatch.setenv("CATWALK_DATASET_ROOT", str(data))
    with ordinary_user():
        is_read(files)
    assert sorted(path.name for path in data.rglob("*")) == before


@pytest.mark.parametrize("closed", ["FashionMNIST", "FashionMNIST/raw", f"FashionMNIST/raw/{IMAGES}"])
@pytest.mark.parametrize("named", [False, True])
def test_an_unreadable_file_is_one_line(
    closed: str, named: bool, files: dict[str, bytes], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = place / "project" / "data"
    put(data, files)
    (data / closed).chmod(0)
    if named:
        monkeypatch.setenv("CATWALK_DATASET_ROOT", str(data))
    with ordinary_user(), pytest.raises(DatasetError, match=r"can't be read: Permission denied; .*chmod") as caught:
        read_splits(CONFIG)
    assert not isinstance(caught.value, DownloadError)
    assert "\n" not in str(caught.value)


def test_a_sound_compressed_file_stands_in_for_a_plain_one_that_is_cut(files: dict[str, bytes], place: Path) -> None:
    data = place / "project" / "data"
    put(data, files)
    put(data, {IMAGES: files[IMAGES]}, compressed=True)
    (raw_folder(data) / IMAGES).write_bytes(files[IMAGES][:1_000])
    is_read(files)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "is missing"),
        (b"\x1f\x8b", "is truncated or not a gzip file"),
        (b"<html>", "is truncated or not a gzip file"),
        (packed(b"\0" * 99), "is truncated or a different file: 99 bytes, not 156,816"),
        (packed(b"\0" * 10**6), "is truncated or a different file: more than 156,816 bytes"),
        (packed(b"\0" * 156_816), "is corrupt: its MD5 is not"),
    ],
)
def test_the_advice_for_your_own_folder_is_for_you(
    body: bytes | None, message: str, files: dict[str, bytes], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded there, so deleting a file would not help."""
    raw = put(place / "mine", files, compressed=True)
    (raw / f"{IMAGES}.gz").unlink()
    if body is not None:
        (raw / f"{IMAGES}.gz").write_bytes(body)
    monkeypatch.setenv("CATWALK_DATASET_ROOT", str(place / "mine"))
    with pytest.raises(DatasetError, match=message) as caught:
        read_splits(CONFIG)
    assert str(caught.value).endswith("; put the published file there, plain or as .gz")
    assert "delete" not in str(caught.value)


class Mirror:
    """A web server with the compressed files, which can fail in several ways."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {f"/{name}.gz": packed(body) for name, body in files.items()}
        self.illness = ""
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                mirror.answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = self.files[request.path]
        if self.illness.isdigit():
            request.send_error(int(self.illness))
            return
        if self.illness == "garbage" and request.command == "GET":
            request.wfile.write(b"what?\r\n\r\n")
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[: len(body) // 2] if self.illness == "cut" else body)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    made = Mirror(files)
    resources = [(name[1:], hashlib.md5(body).hexdigest()) for name, body in made.files.items()]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", resources)
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [made.url])
    yield made
    made.stop()


def test_what_is_missing_is_downloaded_once(mirror: Mirror, files: dict[str, bytes], place: Path) -> None:
    is_read(files)
    assert len(set(mirror.asked)) == 4
    mirror.asked.clear()
    is_read(files)
    assert mirror.asked == []


def test_a_damaged_file_in_our_own_folder_is_downloaded_again(
    mirror: Mirror, files: dict[str, bytes], place: Path
) -> None:
    raw = put(place / "project" / "data", files)
    (raw / IMAGES).write_bytes(b"cut")
    (raw / f"{IMAGES}.gz").write_bytes(b"cut too")
    is_read(files)
    assert (raw / IMAGES).read_bytes() == b"cut", "no one's files are overwritten or deleted"


def _refused(mirror: Mirror, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://127.0.0.1:1/"])


def _unknown(mirror: Mirror, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://mirror.invalid/"])


def _proxied(mirror: Mirror, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://mirror.invalid/"])
    patch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    patch.setattr("urllib.request._opener", None)  # which remembers the environment that it was created in


def _other(mirror: Mirror, patch: pytest.MonkeyPatch) -> None:
    mirror.files = dict.fromkeys(mirror.files, b"<html>Sign in</html>")


def _ill(illness: str) -> Callable[[Mirror, pytest.MonkeyPatch], None]:
    def make(mirror: Mirror, patch: pytest.MonkeyPatch) -> None:
        mirror.illness = illness

    return make


@pytest.mark.parametrize(
    ("trouble", "kind", "cause"),
    [
        (_ill("503"), DownloadError, "127.0.0.1 answers 503 Service Unavailable"),
        (_ill("429"), DownloadError, "127.0.0.1 answers 429 Too Many Requests"),
        (_ill("404"), DatasetError, "127.0.0.1 answers 404 Not Found"),
        (_ill("403"), DatasetError, "127.0.0.1 answers 403 Forbidden"),
        (_ill("garbage"), DownloadError, "the connection to 127.0.0.1 broke (BadStatusLine: what?"),
        (_ill("cut"), DownloadError, "the file from 127.0.0.1 is not the published one (wrong checksum)"),
        (_other, DownloadError, "the file from 127.0.0.1 is not the published one (wrong checksum)"),
        (_refused, DownloadError, "127.0.0.1 can't be reached ([Errno 111] Connection refused)"),
        (_unknown, DownloadError, "mirror.invalid can't be reached ([Errno -"),
        (_proxied, DownloadError, "mirror.invalid through the proxy http://127.0.0.1:1 can't be reached ([Errno 111]"),
    ],
)
def test_a_failed_download_says_why_and_whether_it_is_temporary(
    trouble: Callable[[Mirror, pytest.MonkeyPatch], None],
    kind: type[DatasetError],
    cause: str,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trouble(mirror, monkeypatch)
    with pytest.raises(DatasetError) as caught:
        read_splits(CONFIG)
    assert type(caught.value) is kind
    assert f"Fashion-MNIST can't be downloaded: {cause}" in str(caught.value)
    assert "set CATWALK_DATASET_ROOT" in str(caught.value)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_body_that_is_cut_in_its_middle_is_no_surprise(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunked body has no length; the client only notices as it reads."""

    def chunked(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if request.command == "GET":
            request.wfile.write(b"1000\r\nonly the beginning")

    monkeypatch.setattr(mirror, "answer", chunked)
    with pytest.raises(DownloadError, match=r"the connection to 127\.0\.0\.1 broke \(IncompleteRead"):
        read_splits(CONFIG)


def test_a_folder_that_cannot_be_written_to_is_final(mirror: Mirror, place: Path) -> None:
    with ordinary_user(), pytest.raises(DatasetError, match=r"project/data can't be written \(Permission") as caught:
        read_splits(CONFIG)
    assert not isinstance(caught.value, DownloadError)


@pytest.mark.parametrize("where", ["datasets", "common/datasets", "project/datasets"])
def test_whole_files_elsewhere_come_before_a_folder_that_was_begun(
    where: str, files: dict[str, bytes], place: Path
) -> None:
    raw_folder(place / "project" / "data").mkdir(parents=True)
    put(place / where, files)
    is_read(files)


def test_another_projects_folder_that_may_not_be_entered_is_skipped(files: dict[str, bytes], place: Path) -> None:
    closed = [put(place / "alice" / "datasets", files), put(place / "bob" / "datasets", files)]
    put(place / "carol" / "datasets", files)
    closed[0].chmod(0)
    closed[1].parents[2].chmod(0)
    with ordinary_user():
        assert dataset.dataset_root() == place / "carol" / "datasets"
        is_read(files)
