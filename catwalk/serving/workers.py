"""Threads that answer requests: no more at once than there are, and each request within a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from catwalk.environment.cpus import usable_cpus
from catwalk.serving.limits import Limits, RefusedError


class Workers:
    """As many as there are CPUs. Not thread-safe: of one event loop."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(usable_cpus(), name)
        self._free = asyncio.Semaphore(usable_cpus())
        self._waiting = 0
        """Requests that are answered, or wait for that."""
        self._begun: dict[asyncio.Future[bytes], float] = {}
        """What is worked on → since when, monotonic seconds."""

    async def answer(self, work: Callable[[], bytes]) -> bytes:
        """What a thread cannot be stopped from computing keeps its place among the workers until it has ended.

        Raises:
            RefusedError: too many wait already, or it takes too long.
        """
        if self._waiting >= self._limits.requests:
            raise RefusedError(503, f"{self._limits.requests} requests are under way already; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._free.acquire()
                return await asyncio.shield(self._begin(work))
        except TimeoutError:
            told = f"no answer within {self._limits.seconds:g} s; send fewer examples at once"
            raise RefusedError(503, told) from None
        finally:
            self._waiting -= 1

    @property
    def are_stuck(self) -> bool:
        """Whether every one of them works for longer than a request may take."""
        late = time.monotonic() - self._limits.seconds
        return len(self._begun) == usable_cpus() and max(self._begun.values()) < late

    def _begin(self, work: Callable[[], bytes]) -> asyncio.Future[bytes]:
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._begun[working] = time.monotonic()
        working.add_done_callback(self._ended)
        return working

    def _ended(self, working: asyncio.Future[bytes]) -> None:
        """A worker is free again; what has become of its work nobody may have waited for."""
        del self._begun[working]
        self._free.release()
        if not working.cancelled():
            working.exception()
