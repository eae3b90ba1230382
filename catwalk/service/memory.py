"""How much memory a process has, and how much this one may have; nothing where the system does not say."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of the control group, of either version."""


def used(pid: int | None = None) -> int | None:
    """Resident bytes of a process; None: of this one."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def allowed() -> int | None:
    """Bytes that it may have: the least of the control group's limit and the machine's memory."""
    with suppress(OSError, ValueError):
        return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])
    return None


def _limits() -> list[int]:
    found = []
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # `max` is none
            found.append(int(path.read_text()))
    return found
