"""Free space on the file systems that the stack fills."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catwalk.errors import ConfigError

VARIABLE = "CATWALK_DISKS"


@dataclass(frozen=True)
class Disk:
    """One file system, in bytes."""

    free: int
    """The space that the stack can still use, without the part reserved for root."""
    size: int


def disk_folders(environment: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Returns the folder of each volume in `CATWALK_DISKS`: ``name=path`` pairs joined by commas; none if it is unset.

    Raises:
        ConfigError: it has a different form.
    """
    pairs = [pair.partition("=") for pair in environment.get(VARIABLE, "").split(",") if pair.strip()]
    if not all(name.strip() and path.strip() for name, _, path in pairs):
        raise ConfigError(f"{VARIABLE} must be name=path pairs joined by commas, not {environment[VARIABLE]!r}")
    return {name.strip(): Path(path.strip()) for name, _, path in pairs}


def disks(folders: Mapping[str, Path]) -> dict[str, Disk]:
    """Returns the file system of each folder, without folders that don't exist (yet)."""
    found = {}
    for volume, folder in folders.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        found[volume] = Disk(usage.free, usage.total)
    return found
