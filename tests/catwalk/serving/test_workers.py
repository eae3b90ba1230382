"""Threads that answer requests."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from catwalk.environment.cpus import usable_cpus
from catwalk.serving.limits import Limits, RefusedError
from catwalk.serving.workers import Workers
from tests.support.servers import PATIENCE, wait_until


def test_a_thread_that_ends_begins_the_next_work_without_the_event_loop() -> None:
    """The loop is blocked while all of it is done."""
    all_done = threading.Event()
    done: list[int] = []
    count = 3 * usable_cpus()

    def work() -> bytes:
        done.append(1)
        if len(done) == count:
            all_done.set()
        return b""

    async def ask() -> bool:
        workers = Workers("work", Limits())
        asked = [asyncio.create_task(workers.answer(work)) for _ in range(count)]
        await asyncio.sleep(0)  # each begins to wait
        without_the_loop = all_done.wait(PATIENCE)
        await asyncio.gather(*asked)
        return without_the_loop

    assert asyncio.run(ask())


def test_work_that_waits_too_long_is_never_begun_and_stuck_workers_are_told() -> None:
    release, begun = threading.Event(), threading.Event()

    def late() -> bytes:
        begun.set()
        return b""

    def slow() -> bytes:
        assert release.wait(PATIENCE)
        return b""

    async def ask() -> None:
        workers = Workers("work", Limits(seconds=0.2))
        try:
            slow_ones = [asyncio.create_task(workers.answer(slow)) for _ in range(usable_cpus())]
            await asyncio.sleep(0)  # each has a worker
            with pytest.raises(RefusedError, match=r"no answer within 0\.2 s"):
                await workers.answer(late)
            answers = await asyncio.gather(*slow_ones, return_exceptions=True)
            assert all(isinstance(answer, RefusedError) for answer in answers)
            wait_until(lambda: workers.are_stuck, "no worker is free")
        finally:
            release.set()
        wait_until(lambda: not workers.are_stuck, "the workers are free")
        time.sleep(0.05)  # a worker that is free would have begun it
        assert not begun.is_set()
        assert await workers.answer(lambda: b"again") == b"again"

    asyncio.run(ask())
