"""Compare-and-swap: read, write on condition that nothing has changed since, and read again if something has."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from catwalk.errors import PreconditionFailedError, StoreError

R = TypeVar("R")
TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds. Together the pauses take four seconds or so."""


def _nothing() -> None:
    pass


def swap(what: str, step: Callable[[], R], check: Callable[[], None] = _nothing) -> R:
    """What `step` returns, once nobody has come in between.

    Others who write at the same moment are gone at one of the next tries. Where every try fails, the ETag that is read
    is not the one that a write is compared with: a proxy before S3 has changed it, say to a weak one (``W/"…"``).

    Args:
        what: the object, as it begins a sentence.
        step: reads, and writes on condition. Raises PreconditionFailedError where that did not hold.
        check: called between two tries; what it raises ends them.

    Raises:
        StoreError: the condition never holds.
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
    """The sentence about an object that could not be replaced in :data:`TRIES` tries."""
    return (
        f"{what} changes whenever it is read, {TRIES} times in a row; does this S3 keep ETags? `catwalk doctor` tries"
    )
