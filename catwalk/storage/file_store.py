"""A local folder with the guarantees of S3, for any number of concurrent processes.

An object is a file that never changes: a new version is a new file, which replaces it atomically. So a reader needs no
lock, and sees one version. A writer, which may be killed at any moment,

1. writes a temporary file and syncs it to the disk,
2. creates: links it to its name, which fails if the object exists; or
   replaces: locks, compares the version, renames the file over the object,
3. syncs the folder to the disk.

Time and size identify a version. A writer sets the time, in nanoseconds, later than that of the previous version.

``.catwalk-store/`` contains what is not an object. The files in ``locks/`` are permanent, because a lock on a removed
file has no effect; keys share them. Every writer holds a shared lock on ``temporary/``, so a process that gets an
exclusive lock knows that killed writers left the files there.
"""

from __future__ import annotations

import fcntl
import io
import os
import random
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from catwalk import files
from catwalk.errors import ConfigError, NotFoundError, PreconditionFailedError, StoreError, StoreUnavailableError
from catwalk.storage import file_errors, file_names
from catwalk.storage.file_systems import shared_kind
from catwalk.storage.store import PAGE, Entry, Store

_OWN = ".catwalk-store"
_LOCKS = 256
"""Lock files, which keys share: two keys sometimes wait for each other, and there are fewer locks than objects."""
_PAUSES = 0.002, 0.05
"""Seconds: first and longest pause between two attempts to lock."""
_PLACING_TRIES = 100
_CHUNK = 2**20
_URL = re.compile(r"file://(/.*)", re.DOTALL)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]|\s$")
"""Characters that end up in a variable by mistake; percent-encode them if you mean them."""


def folder(url: str) -> Path:
    """The folder of a URL, which may be percent-encoded.

    Raises:
        ConfigError: The URL doesn't name a folder.
    """
    match = _URL.fullmatch(url)
    path = unquote(match[1], errors="surrogateescape") if match else ""
    if not path.strip("/") or "\0" in path or _UNSEEN.search(url):
        raise ConfigError(f"CATWALK_STORE must look like file:///folder, with an absolute path, not {url!r}")
    return Path(path)


@dataclass
class FileStore(Store):
    """The folder ``file:///path``, which the first write creates."""

    def __post_init__(self) -> None:
        self.root = folder(self.url)
        self._temporary, self._locks = self.root / _OWN / "temporary", self.root / _OWN / "locks"
        self._looked = self._ready = False

    @property
    def place(self) -> str:
        return self.url

    def _fetch(self, key: str, sink: BinaryIO) -> str:
        with self._told("get"), self._open(key) as source:
            while chunk := self._chunk(key, source):
                sink.write(chunk)
            return _version(os.fstat(source.fileno()))

    def _open(self, key: str) -> BinaryIO:
        self._look()
        with self._refusing(key):
            try:
                return self._path(key).open("rb", buffering=0)
            except FileNotFoundError:
                raise NotFoundError(f"{self.where(key)} does not exist") from None

    def _chunk(self, key: str, source: BinaryIO) -> bytes:
        with self._refusing(key):
            return source.read(_CHUNK)

    def put(self, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> str:
        try:
            return self._put(key, io.BytesIO(body), if_match, create)
        except PreconditionFailedError:
            found = self.find(key)
            if found and found.body == body:
                return found.etag
            raise

    def put_file(self, key: str, source: Path) -> str:
        with source.open("rb") as body:
            return self._put(key, body)

    def _put(self, key: str, source: BinaryIO, if_match: str | None = None, create: bool = False) -> str:
        with self._asked("put", key), self._writing() as (file, written):
            shutil.copyfileobj(source, file, _CHUNK)
            files.sync(file)
            if create and not if_match:
                return self._create(key, file, written)
            return self._replace(key, file, written, if_match)

    def _create(self, key: str, file: BinaryIO, written: Path) -> str:
        path = self._path(key)
        etag = _stamp(file)
        try:
            self._place(path, lambda: path.hardlink_to(written))
        except FileExistsError:
            raise PreconditionFailedError(f"{self.where(key)} was created by another writer") from None
        return etag

    def _replace(self, key: str, file: BinaryIO, written: Path, if_match: str | None) -> str:
        path = self._path(key)
        with self._alone(key):
            found = _status(path)
            if if_match and (found is None or _version(found) != if_match):
                raise PreconditionFailedError(f"{self.where(key)} was changed by another writer")
            etag = _stamp(file, found.st_mtime_ns if found else 0)
            self._place(path, lambda: written.replace(path))
        return etag

    def _place(self, path: Path, move: Callable[[], object]) -> None:
        """Moves a file to its name, in a folder that it creates and that a concurrent deletion may remove."""
        for _ in range(_PLACING_TRIES):
            self._make(path.parent)
            with suppress(FileNotFoundError):
                move()
                break
        else:
            raise StoreUnavailableError(f"{path.parent} is removed as soon as it is created; retry")
        with suppress(FileNotFoundError):  # by a deletion of the object just written
            files.sync_folder(path.parent)

    def _make(self, path: Path) -> None:
        """Creates a folder and its parents."""
        if path.is_dir():
            return
        if path != path.parent:
            self._make(path.parent)
        with suppress(FileExistsError, FileNotFoundError):
            path.mkdir()
            files.sync_folder(path.parent)

    def etag(self, key: str) -> str | None:
        with self._asked("head", key):
            found = _status(self._path(key))
            return _version(found) if found else None

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._asked("delete", key):
            if not _status(path):
                return
            with self._alone(key), suppress(FileNotFoundError):
                path.unlink()
                files.sync_folder(path.parent)
            self._tidy(path.parent)

    def _tidy(self, path: Path) -> None:
        """Removes empty folders."""
        while path != self.root:
            try:
                path.rmdir()
            except OSError:
                return
            path = path.parent

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        segments = prefix.split("/")[:-1]
        start = file_names.folder_of(self.root, segments)
        found = self._walk(start, "".join(f"{segment}/" for segment in segments), prefix, after.encode())
        page: list[Entry] = []
        while not page or len(page) == PAGE:
            with self._asked("list", prefix):
                self._require_folder()
                page = [*islice(found, PAGE)]
            yield from page
            if not page:
                return

    def _walk(self, path: Path, above: str, prefix: str, after: bytes) -> Iterator[Entry]:
        """The objects in a folder, whose keys begin with `above`."""
        # All keys in a folder begin with its name and a slash, so the order of names is the order of keys below them
        # too.
        for name, below in sorted(_names(path, above), key=lambda named: named[0].encode()):
            if name.startswith(prefix) and below.is_dir():
                yield from self._walk(Path(below), name, prefix, after)
            elif name.startswith(prefix) and name.encode() > after and (status := _status(Path(below))):
                yield Entry(name, _version(status), status.st_size)

    def check(self) -> None:
        with self._asked("list", ""):
            self._require_folder()
            next(_names(self.root, ""), None)

    def _require_folder(self) -> None:
        if not _status(self.root):
            raise file_errors.missing(self.root)

    def _path(self, key: str) -> Path:
        return file_names.path_of(self.root, key)

    @contextmanager
    def _asked(self, operation: str, key: str) -> Iterator[None]:
        with self._told(operation):
            self._look()
            with self._refusing(key):
                yield

    @contextmanager
    def _refusing(self, key: str) -> Iterator[None]:
        """Turns the file system's errors into one line."""
        try:
            yield
        except OSError as error:
            raise file_errors.refused(error, self.where(key)) from error

    def _look(self) -> None:
        """Refuses a folder that other machines can use too."""
        if not self._looked:
            kind = shared_kind(self.root)
            if kind:
                raise file_errors.shared(self.root, kind)
            self._looked = True

    @contextmanager
    def _writing(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A temporary file that is protected from cleanup."""
        self._prepare()
        with (
            _locked(self._temporary, fcntl.LOCK_SH, self.patience.read_seconds),
            files.temporary(self._temporary) as made,
        ):
            yield made

    def _prepare(self) -> None:
        """Creates the store's own folders, and removes files that killed writers left."""
        if self._ready:
            return
        for path in (self._temporary, self._locks):
            self._make(path)
        with suppress(BlockingIOError), _locked(self._temporary, fcntl.LOCK_EX, 0):
            for left in self._temporary.iterdir():
                left.unlink(missing_ok=True)
        self._ready = True

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Locks this object against other writers and deletions."""
        self._prepare()
        path = self._locks / f"{zlib.crc32(key.encode()) % _LOCKS:02x}"
        try:
            with _locked(path, fcntl.LOCK_EX, self.patience.read_seconds, os.O_CREAT):
                yield
        except BlockingIOError as error:
            raise StoreUnavailableError(
                f"{self.where(key)} is still locked by another process after {self.patience.read_seconds:g} s "
                f"({path}); retry"
            ) from error


@contextmanager
def _locked(path: Path, kind: int, seconds: float, flags: int = 0) -> Iterator[None]:
    """Holds a lock on a file or folder.

    Raises:
        BlockingIOError: Others held it for that time.
    """
    descriptor = os.open(path, os.O_RDONLY | flags, 0o666)
    try:
        _wait_for(descriptor, kind | fcntl.LOCK_NB, time.monotonic() + seconds)
        try:
            yield
        finally:
            # Explicit, because closing is not enough: a process that was forked in the meantime has the file open too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, kind: int, deadline: float) -> None:
    pause, longest = _PAUSES
    while True:
        try:
            fcntl.flock(descriptor, kind)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, longest)


def _names(path: Path, above: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The content of a folder: keys of objects, and prefixes of keys, which end in a slash."""
    try:
        found = list(os.scandir(path))
    except FileNotFoundError:  # it was removed in the meantime
        return
    for entry in found:
        if not entry.is_dir():
            last = file_names.object_of(entry.name)
            if last is not None:
                yield above + last, entry
            continue
        segment = file_names.segment_of(entry.name)
        if segment and segment[1]:
            yield from _names(Path(entry), above + segment[0])
        elif segment:
            yield f"{above}{segment[0]}/", entry


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _stamp(file: BinaryIO, after: int = 0) -> str:
    """Sets a file's time to now, in nanoseconds, but later than `after` even if the clock is not."""
    now = max(time.time_ns(), after + 1)
    os.utime(file.fileno(), ns=(now, now))
    status = os.fstat(file.fileno())
    if status.st_mtime_ns != now:
        raise StoreError("this file system doesn't store nanoseconds, which distinguish versions; use ext4 or xfs")
    return _version(status)
