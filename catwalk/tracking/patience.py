"""Retries of transient errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from catwalk.errors import TransientError

R = TypeVar("R")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


def patiently(deadline: float, work: Callable[[], R]) -> R:
    """The result of `work`, which is retried after transient errors until the deadline.

    Args:
        deadline: When to give up, by :func:`time.monotonic`.
        work: The function to call, at least once.

    Raises:
        TransientError: The last one; any other error of `work` ends the retries at once.
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
