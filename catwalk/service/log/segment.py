"""A file of the log on this machine, to which one process appends, and which outlives it.

Each is locked while its process lives, so a process that can lock one knows that no one writes to it any more. Any
number of processes may share a folder.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catwalk import files

SUFFIX = ".jsonl"


class Segment:
    """A new file; every method may raise OSError. Only :meth:`sync` may run beside another method."""

    def __init__(self, folder: Path, first: bytes) -> None:
        """
        Args:
            folder: where it lies.
            first: its first line.
        """
        self.path, self._descriptor = _created(folder)
        self.size = 0
        self._synced = 0
        self._torn = False
        """Whether it may end with part of a line."""
        try:
            self.append(first)
            files.sync_folder(folder)
        except OSError:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    def append(self, body: bytes) -> None:
        """Writes whole lines: all of them, or none."""
        appended = b"\n" + body if self._torn else body
        try:
            written = 0
            while written < len(appended):
                written += os.write(self._descriptor, appended[written:])
        except OSError:
            self._torn = True
            os.ftruncate(self._descriptor, self.size)
            self._torn = False
            raise
        self._torn = False
        self.size += len(appended)

    def sync(self) -> None:
        """Waits until all that was appended before this call is on the disk."""
        size = self.size
        if size > self._synced:
            os.fsync(self._descriptor)
            self._synced = size

    def close(self) -> None:
        """Unlocks it for others."""
        os.close(self._descriptor)


def _created(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{secrets.token_hex(8)}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        if _locked(descriptor):
            return path, descriptor
        os.close(descriptor)  # another process took it for one that was left, and removes it


def _locked(descriptor: int) -> bool:
    """Takes the lock, unless another process has it or has removed the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def left(path: Path) -> Iterator[bool]:
    """Wraps the upload and removal of a segment; yields whether no one else writes, uploads or has removed it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


def segments(folder: Path) -> list[Path]:
    """Returns all segments in a folder, the oldest first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # another process has just removed it
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]
