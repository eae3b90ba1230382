"""Fashion-MNIST's four published files: reads and verifies them in place, plain or as ``.gz``, and downloads them.

Reading writes nothing, so the folder may be read-only.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import socket
import ssl
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from catwalk.environment.proxies import through_proxy
from catwalk.errors import DatasetError, DownloadError

_IMAGES, _LABELS = 0x803, 0x801
FILES = {
    # name: (header, bytes, MD5 of the published file, uncompressed)
    "train-images-idx3-ubyte": (
        struct.pack(">4i", _IMAGES, 60_000, 28, 28),
        47_040_016,
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    ),
    "train-labels-idx1-ubyte": (struct.pack(">2i", _LABELS, 60_000), 60_008, "9018921c3c673c538a1fc5bad174d6f9"),
    "t10k-images-idx3-ubyte": (
        struct.pack(">4i", _IMAGES, 10_000, 28, 28),
        7_840_016,
        "8181f5470baa50b63fa0f6fddb340f0a",
    ),
    "t10k-labels-idx1-ubyte": (struct.pack(">2i", _LABELS, 10_000), 10_008, "15d484375f8d13e6eb1aabb0c3f46965"),
}
_DOWNLOAD_TIMEOUT = 60.0
_MAY_PASS = {408, 425, 429}
"""HTTP statuses below 500 after which a retry may help."""


class IncompleteError(DatasetError):
    """A file is missing or damaged. A new download would help; the message doesn't say how, because that depends on the
    owner of the folder.
    """


def raw_folder(root: Path) -> Path:
    """Returns the folder of the files below a root."""
    return root / "FashionMNIST" / "raw"


def has_folder(root: Path) -> bool:
    """Returns whether there is a folder for the files.

    Raises:
        DatasetError: this user may not enter it.
    """
    return _asked(raw_folder(root), Path.is_dir)


def is_here(root: Path) -> bool:
    """Returns whether all four files exist, whatever they contain.

    Raises:
        DatasetError: this user may not enter it.
    """
    return all(any(_asked(path, Path.is_file) for path in _candidates(raw_folder(root) / name)) for name in FILES)


def read_files(root: Path, *, published: bool) -> dict[str, bytes]:
    """Returns the content of each file after its header: pixels or labels, one byte each.

    Args:
        root: The folder above ``FashionMNIST/raw``.
        published: Whether they must be the published files, byte for byte; otherwise only size and header are checked.

    Raises:
        IncompleteError: one is missing, truncated or corrupt.
        DatasetError: one can't be read.
    """
    return {name: _read(raw_folder(root) / name, published) for name in FILES}


def _candidates(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}.gz")


def _asked(path: Path, question: Callable[[Path], bool]) -> bool:
    try:
        return question(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{path} can't be read: {error.strerror}; the user that runs this must be able to read it and to enter the "
        "folders above it (`chmod -R a+rX`)"
    )


def _read(path: Path, published: bool) -> bytes:
    """Returns the plain file if it is valid, otherwise the compressed one."""
    found = [candidate for candidate in _candidates(path) if _asked(candidate, Path.is_file)]
    if not found:
        raise IncompleteError(f"{path} is missing")
    *others, last = found
    for candidate in others:
        with suppress(IncompleteError):
            return _sound(candidate, path.name, published)
    return _sound(last, path.name, published)


def _sound(path: Path, name: str, published: bool) -> bytes:
    header, size, md5 = FILES[name]
    content = _content(path, size)
    if len(content) != size:
        count = f"more than {size:,}" if len(content) > size else f"{len(content):,}"
        raise IncompleteError(f"{path} is truncated or a different file: {count} bytes, not {size:,}")
    if published and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise IncompleteError(f"{path} is corrupt: its MD5 is not {md5}")
    if not content.startswith(header):
        raise IncompleteError(f"{path} is corrupt: its header is not that of the published file")
    return content[len(header) :]


def _content(path: Path, size: int) -> bytes:
    """Returns at most one byte more than `size`, so that nothing huge is read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.read(size + 1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IncompleteError(f"{path} is truncated or not a gzip file ({error})") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def download(root: Path) -> None:
    """Downloads missing ``.gz`` files with torchvision; concurrent runs wait for each other.

    Raises:
        DownloadError: network or mirror failed this time.
        DatasetError: they will always fail, or the files can't be written.
    """
    from torchvision.datasets import FashionMNIST  # takes seconds to import
    from torchvision.datasets.utils import download_url

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name, md5 in FashionMNIST.resources:
                download_url(f"{FashionMNIST.mirrors[0]}{name}", raw_folder(root), name, md5)
    except (RuntimeError, HTTPException, OSError) as error:
        kind, cause = _failure(error, FashionMNIST.mirrors[0])
        raise kind(
            f"Fashion-MNIST can't be downloaded: {' '.join(cause.split())}; put its four files, plain or as .gz, into "
            f"{raw_folder(root)}, or set CATWALK_DATASET_ROOT to the folder above FashionMNIST/raw"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _failure(error: Exception, url: str) -> tuple[type[DatasetError], str]:
    """Returns whether a retry may help, and what went wrong."""
    whom = f"{urlsplit(url).hostname}{through_proxy(url)}"
    if isinstance(error, HTTPError):
        error.close()
        final = error.code < 500 and error.code not in _MAY_PASS
        return DatasetError if final else DownloadError, f"{whom} answers {error.code} {error.reason}"
    if isinstance(error, URLError):
        final = isinstance(error.reason, ssl.SSLCertVerificationError)
        return DatasetError if final else DownloadError, f"{whom} can't be reached ({error.reason})"
    if isinstance(error, RuntimeError):
        return DownloadError, f"the file from {whom} is not the published one (wrong checksum)"
    if isinstance(error, HTTPException | ConnectionError | TimeoutError):
        return DownloadError, f"the connection to {whom} broke ({type(error).__name__}: {error})"
    assert isinstance(error, OSError)
    return DatasetError, f"{error.filename or 'a file'} can't be written ({error.strerror or error})"
