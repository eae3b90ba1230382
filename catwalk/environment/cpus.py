"""The number of CPUs that this process may use, which is often lower than the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/")) -> int:
    """The CPUs of this process' affinity, or a lower cgroup quota, rounded down; at least 1.

    It rounds down because the kernel throttles threads beyond the quota in turns, and then all wait for each.

    Args:
        root: The folder that contains ``/proc`` and ``/sys``.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """The CPUs that each cgroup with a limit grants: this process' own cgroup and its parents."""
    for folder in _cgroups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            limit, period = _limit(folder)
            if int(limit) > 0:  # version 1 writes -1 for no limit
                yield int(limit) / int(period)


def _limit(folder: Path) -> list[str]:
    """Microseconds of CPU time per period, and of the period; the limit may be ``max``."""
    if (folder / "cpu.max").exists():
        return (folder / "cpu.max").read_text().split()
    return [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]


def _cgroups(root: Path) -> Iterator[Path]:
    """Folders of this process' cgroups that may limit CPU time. A container may see its own as the outermost one."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                inner = PurePosixPath(path.lstrip("/"))
                for place in (inner, *inner.parents):
                    # Version 1's folder is named after several controllers, sometimes in another order than here.
                    yield root / "sys/fs/cgroup" / ("cpu" if controllers else "") / place
