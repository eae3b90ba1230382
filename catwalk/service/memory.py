"""How much memory a process uses, and how much this one may use; None if the system doesn't say."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the limit of the control group, of either version."""


def used(pid: int | None = None) -> int | None:
    """Returns the resident bytes of a process, by default of this one."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def allowed() -> int | None:
    """Returns the bytes that this process may use, by the control group's limit and the machine's memory."""
    with suppress(OSError, ValueError):
        return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])
    return None


def _limits() -> list[int]:
    found = []
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # `max` is no limit
            found.append(int(path.read_text()))
    return found
