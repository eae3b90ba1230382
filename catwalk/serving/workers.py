"""Threads that answer requests: a fixed number of them, and each request within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from catwalk.environment.cpus import usable_cpus
from catwalk.serving.limits import Limits, RefusedError


class Workers:
    """One thread per CPU. Not thread-safe: for one event loop."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(usable_cpus(), name)
        self._free = asyncio.Semaphore(usable_cpus())
        self._waiting = 0
        """Requests that are being answered, or wait for that."""
        self._begun: dict[asyncio.Future[bytes], float] = {}
        """Work in progress → its start, in monotonic seconds."""

    async def answer(self, work: Callable[[], bytes]) -> bytes:
        """The result of a request's work. A thread can't be stopped, so work that takes too long keeps its worker.

        Raises:
            RefusedError: Too many requests are waiting, or this one takes too long.
        """
        if self._waiting >= self._limits.requests:
            raise RefusedError(503, f"{self._limits.requests} requests are in progress; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._free.acquire()
                return await asyncio.shield(self._begin(work))
        except TimeoutError:
            sentence = f"no answer within {self._limits.seconds:g} s; send fewer examples at once"
            raise RefusedError(503, sentence) from None
        finally:
            self._waiting -= 1

    @property
    def are_stuck(self) -> bool:
        """Whether every worker has been busy for longer than a request may take."""
        late = time.monotonic() - self._limits.seconds
        return len(self._begun) == usable_cpus() and max(self._begun.values()) < late

    def _begin(self, work: Callable[[], bytes]) -> asyncio.Future[bytes]:
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._begun[working] = time.monotonic()
        working.add_done_callback(self._ended)
        return working

    def _ended(self, working: asyncio.Future[bytes]) -> None:
        """Frees a worker. The request may have been refused by now, so its result is dropped."""
        del self._begun[working]
        self._free.release()
        if not working.cancelled():
            working.exception()
