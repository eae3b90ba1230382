"""What can break while models are retrained, done to a real stack; and what reaches the courier of it.

Each fault is done and mended by a context manager, so that tests and the bench do the very same.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catwalk.clients.courier import told
from catwalk.ledger.runs import Run
from tests.conftest import RunningStack, wait_until
from tests.integration.conftest import SLOW_DAG, DagRun, trigger
from tests.support.small import SLOW, SMALL


def notifications(stack: RunningStack) -> list[dict[str, Any]]:
    """What the courier keeps, without the Watchdog."""
    kept = told(stack.settings.url("courier"), 1_000)["notifications"]
    return [entry for entry in kept if entry["labels"]["alertname"] != "Watchdog"]


def wait_for_alert(
    stack: RunningStack,
    name: str,
    status: str = "firing",
    run: Run | None = None,
    seconds: float = 240.0,
    since: float = 0.0,
) -> float:
    """Waits until the courier was told of an alert; returns the Unix time of that.

    Args:
        stack: whose courier.
        name: of the alert.
        status: firing or resolved.
        run: whose alert it must be; None: anybody's.
        seconds: to wait at most.
    """

    def found() -> float | None:
        for entry in notifications(stack):
            labels = entry["labels"]
            mine = run is None or labels.get("run_id") == run.run_id
            if labels["alertname"] == name and entry["status"] == status and mine:
                return float(entry["first_seen"])
        return None

    told_at = wait_until(found, f"the courier is told that {name} is {status}", seconds)
    assert told_at is not None
    return told_at


@contextmanager
def stopped(stack: RunningStack, part: str) -> Iterator[float]:
    """A part of the stack that does not run; gives the Unix time since when."""
    stack.stop(part)
    try:
        yield time.time()
    finally:
        stack.start(part)


def loss_is_no_number(stack: RunningStack) -> tuple[DagRun, float]:
    """A DAG run whose loss becomes NaN or infinite; and the Unix time at which its ledger says so."""
    dag_run = trigger(stack, {**SMALL, "peak_learning_rate": 1e6, "epochs": 10})
    dag_run.wait("failed")
    return dag_run, max(record.ended or 0.0 for record in dag_run.run.attempts() if record.stage == "train")


def train_killed(stack: RunningStack, attempts: int = 1) -> tuple[DagRun, float]:
    """A DAG run whose train stage is killed in each of its attempts; and the Unix time of the last kill."""
    dag_run = trigger(stack, SLOW, SLOW_DAG)
    killed = 0.0
    for number in range(1, attempts + 1):
        pid = dag_run.attempt("train", number).pid
        wait_until(lambda: dag_run.epochs(number) >= 1, f"an epoch of attempt {number}")  # noqa: B023
        os.kill(pid, signal.SIGKILL)
        killed = time.time()
    return dag_run, killed


def points_are_due(run: Run) -> None:
    """Dates a run's end back, for its points are only expected two minutes after it."""
    earlier = time.time() - 180
    run.update_summary(lambda summary: dataclasses.replace(summary, updated=earlier, finished=earlier))


def told_by_command(file: Path) -> list[str]:
    """First lines of what the dead-man watch has called out, by a command that appends to this file."""
    text = file.read_text() if file.exists() else ""
    return [line for line in text.splitlines() if line.startswith(("CRITICAL", "Resolved"))]
