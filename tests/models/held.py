"""Runs a program that stops at the nth call of a method of its run, where a test can kill it, however fast the
machine is: ``python -m tests.models.held METHOD N PROGRAM [ARGUMENT…]``.
"""

from __future__ import annotations

import runpy
import sys
import time
from typing import Any

from catwalk.tracking.handle import TrackedRun

HELD = "stands still"


def hold(method: str, number: int) -> None:
    """Lets earlier calls pass, and none from this one on."""
    original, calls = getattr(TrackedRun, method), iter(range(1, number))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is not None:
            return original(*arguments, **options)
        print(HELD, flush=True)
        while True:
            time.sleep(60)

    setattr(TrackedRun, method, call)


if __name__ == "__main__":
    hold(sys.argv[1], int(sys.argv[2]))
    sys.argv = sys.argv[3:]
    runpy.run_path(sys.argv[0], run_name="__main__")
