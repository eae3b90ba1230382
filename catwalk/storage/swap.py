"""Compare-and-swap: read, write on the condition that nothing has changed since, and read again if it has."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from catwalk.errors import PreconditionFailedError, StoreError

R = TypeVar("R")
TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds. The pauses take about four seconds in total."""


def _nothing() -> None:
    pass


def swap(what: str, step: Callable[[], R], check: Callable[[], None] = _nothing) -> R:
    """The result of `step`, which is repeated until no other writer interferes.

    Concurrent writers are done by one of the next attempts. If every attempt fails, a write is compared with another
    ETag than the one that was read: a proxy in front of S3 has changed it, for example to a weak one (``W/"…"``).

    Args:
        what: The object, as the beginning of a sentence.
        step: Reads, and writes on a condition. It raises PreconditionFailedError if the condition does not hold.
        check: Called between two attempts; its exception ends them.

    Raises:
        StoreError: The condition never holds.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.3, 1))
            check()
        try:
            return step()
        except PreconditionFailedError:
            continue
    raise StoreError(never_holds(what))


def never_holds(what: str) -> str:
    """The error message for an object that could not be replaced in :data:`TRIES` attempts."""
    return (
        f"{what} changes whenever it is read, {TRIES} times in a row; does this S3 keep ETags? "
        "`catwalk doctor` checks it"
    )
