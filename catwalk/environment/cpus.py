"""How many CPUs this process may keep busy; a machine often has more than it is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/")) -> int:
    """The CPUs of this process' affinity, or fewer where a cgroup's quota, rounded down, is less; at least 1.

    Rounded down, since threads beyond the quota are stopped in turns, and then all wait for each.

    Args:
        root: what ``/proc`` and ``/sys`` are in.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """CPUs that each cgroup with a limit grants: this process' own, and those that it lies in."""
    for folder in _cgroups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            limit, period = _limit(folder)
            if int(limit) > 0:  # version 1 writes -1 where there is none
                yield int(limit) / int(period)


def _limit(folder: Path) -> list[str]:
    """Microseconds of CPU time in a period, and the period's; the limit may be ``max``."""
    if (folder / "cpu.max").exists():
        return (folder / "cpu.max").read_text().split()
    return [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]


def _cgroups(root: Path) -> Iterator[Path]:
    """Folders of this process' cgroups that may limit CPU time. A container may see its own as the outermost."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                inner = PurePosixPath(path.lstrip("/"))
                for place in (inner, *inner.parents):
                    # Version 1's folder has one name for several controllers, in another order than here at times.
                    yield root / "sys/fs/cgroup" / ("cpu" if controllers else "") / place
