"""Tries again what may pass by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from catwalk.errors import TransientError

R = TypeVar("R")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


def patiently(deadline: float, work: Callable[[], R]) -> R:
    """What `work` returns, as soon as it fails no more; it is tried as long as there is time.

    Args:
        deadline: by :func:`time.monotonic`.
        work: what is done once at least.

    Raises:
        TransientError: the last one; whatever else `work` raises ends it at once.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return work()
        except TransientError:
            if time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
