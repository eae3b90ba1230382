"""Threads that answer requests: a fixed number of them, and each request within a time limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from catwalk.environment.cpus import usable_cpus
from catwalk.serving.limits import Limits, RefusedError


class Workers:
    """One thread per CPU. Not thread-safe: for one event loop."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._limits = limits
        self._count = usable_cpus()
        self._threads = ThreadPoolExecutor(self._count, name)
        self._waiting = 0
        """Requests that are being answered, or wait for that."""
        self._begun: dict[int, float] = {}
        """Thread that is at work → when that work began, in monotonic seconds."""

    async def answer(self, work: Callable[[], bytes]) -> bytes:
        """The result of a request's work. A thread can't be stopped, so work that takes too long keeps its worker.

        Work waits in the threads' own queue: a thread that ends begins the next one without a turn of the event loop,
        for which a busy machine lets it wait.

        Raises:
            RefusedError: Too many requests are waiting, or this one takes too long.
        """
        if self._waiting >= self._limits.requests:
            raise RefusedError(503, f"{self._limits.requests} requests are in progress; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, work)
        except TimeoutError:
            sentence = f"no answer within {self._limits.seconds:g} s; send fewer examples at once"
            raise RefusedError(503, sentence) from None
        finally:
            self._waiting -= 1

    @property
    def are_stuck(self) -> bool:
        """Whether every worker has been busy for longer than a request may take."""
        late = time.monotonic() - self._limits.seconds
        begun = self._begun.copy().values()  # threads change it meanwhile
        return len(begun) == self._count and max(begun) < late

    def _timed(self, work: Callable[[], bytes]) -> bytes:
        """Runs in a worker."""
        worker = threading.get_ident()
        self._begun[worker] = time.monotonic()
        try:
            return work()
        finally:
            del self._begun[worker]
