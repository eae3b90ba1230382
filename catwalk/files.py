"""Files that are replaced atomically: readers see the whole file or none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(target: Path, body: bytes) -> None:
    """Writes a temporary file beside the target, then replaces the target with it.

    Raises:
        OSError: It could not be written; the previous file stays.
    """
    with whole(target) as file:
        file.write(body)


@contextmanager
def whole(target: Path) -> Iterator[BinaryIO]:
    """A new file to write, which replaces `target` if the block ends without an error.

    Raises:
        OSError: It could not be written; the previous file stays.
    """
    with temporary(target.parent, f".{target.name[:100]}.") as (file, path):
        yield file
        sync(file)
        path.replace(target)


@contextmanager
def temporary(folder: Path, prefix: str = "") -> Iterator[tuple[BinaryIO, Path]]:
    """A new file with a unique name, which is deleted after the block unless it was moved."""
    path = folder / f"{prefix}{secrets.token_hex(8)}"
    # Not with `tempfile`, whose files only this user can read; undoing that would change the umask of all threads.
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
