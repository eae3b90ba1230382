"""Files that others see whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(target: Path, body: bytes) -> None:
    """Writes a file beside its place and moves it there, in place of what was there.

    Raises:
        OSError: it could not be written; what was there stays.
    """
    with whole(target) as file:
        file.write(body)


@contextmanager
def whole(target: Path) -> Iterator[BinaryIO]:
    """A new file, to be written, that takes the place of `target` where the block ends well.

    Raises:
        OSError: it could not be written; what was there stays.
    """
    with temporary(target.parent, f".{target.name[:100]}.") as (file, path):
        yield file
        sync(file)
        path.replace(target)


@contextmanager
def temporary(folder: Path, prefix: str = "") -> Iterator[tuple[BinaryIO, Path]]:
    """A new file with a name that nobody else has, which is gone after the block unless it was moved."""
    path = folder / f"{prefix}{secrets.token_hex(8)}"
    # Not by `tempfile`, whose files are this user's alone; to undo that, the umask of all threads would have to change.
    with path.open("x+b") as file:
        try:
            yield file, path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def sync(file: BinaryIO) -> None:
    """Waits until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
