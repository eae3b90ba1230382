"""Threads that answer requests: no more at once than there are, and each request within a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

from catwalk.environment.cpus import usable_cpus
from catwalk.serving.limits import Limits, RefusedError


class Workers:
    """One thread per CPU. They take requests from one queue by themselves, because a wake-up of the event loop between
    two requests takes longer on a busy machine than most answers. Not thread-safe: for one event loop."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(usable_cpus(), name)
        self._waiting = 0
        """Requests that are being answered, or wait for that."""
        self._begun: dict[int, float] = {}
        """Thread that is at work → since when, in monotonic seconds."""

    async def answer(self, work: Callable[[], bytes]) -> bytes:
        """The result of a request's work. A thread can't be stopped: it finishes work that takes too long.

        Raises:
            RefusedError: Too many requests are waiting already, or the work takes too long.
        """
        if self._waiting >= self._limits.requests:
            raise RefusedError(503, f"{self._limits.requests} requests are in progress already; try again")
        if self.are_stuck:  # or the queue would grow by what nobody waits for
            raise RefusedError(503, f"every worker computes for longer than {self._limits.seconds:g} s")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                # If the time is up, this cancels what no thread has taken yet.
                return await asyncio.wrap_future(self._threads.submit(self._work, work))
        except TimeoutError:
            sentence = f"no answer within {self._limits.seconds:g} s; send fewer examples at once"
            raise RefusedError(503, sentence) from None
        finally:
            self._waiting -= 1

    @property
    def are_stuck(self) -> bool:
        """Whether every thread has been at work for longer than a request may take."""
        begun, late = list(self._begun.values()), time.monotonic() - self._limits.seconds
        return len(begun) == usable_cpus() and max(begun) < late

    def _work(self, work: Callable[[], bytes]) -> bytes:
        thread = get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return work()
        finally:
            del self._begun[thread]
