"""Folders in which reports are built; the next exporter removes those that a killed one left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "catwalk-exporter-report-"


@contextmanager
def workplace() -> Iterator[Path]:
    """Yields a separate folder that exists while it is used.

    It is locked meanwhile, and a lock ends with its process. Process ids would not do: they are reused, and the
    exporter has the same one in every container.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, _locked(Path(name)):
        yield Path(name)


def remove_abandoned() -> None:
    """Removes the folders that no process uses; those of other users stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _locked(folder):
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
