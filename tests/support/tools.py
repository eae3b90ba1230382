"""Programs that only tests run: compiled at their first use, so the stack's setup needs none of them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from stack import bootstrap

MODULES = Path(__file__).parents[1] / "tools"


@cache
def tool(name: str) -> Path:
    """A program of a Go module in ``tests/tools`` that has its name.

    Raises:
        SetupError: it can't be compiled, or its modules can't be downloaded.
    """
    with one_at_a_time():
        return bootstrap.build(MODULES / name) / name


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keeps test processes from making the same thing in ``.tools`` at the same time."""
    bootstrap.TOOLS.mkdir(exist_ok=True)
    with (bootstrap.TOOLS / ".tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
