"""Faults while models are retrained, injected into a real stack, and the notifications of them that reach the courier.

A context manager injects and repairs each fault, so that tests and the bench do exactly the same.
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
    """Returns the courier's notifications, without the Watchdog."""
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
    """Waits until the courier gets a notification of an alert; returns its Unix time.

    Args:
        stack: The stack of the courier.
        name: The name of the alert.
        status: "firing" or "resolved".
        run: The run that the alert must be about; None for any run.
        seconds: The longest time to wait.
    """

    def found() -> float | None:
        for entry in notifications(stack):
            labels = entry["labels"]
            mine = run is None or labels.get("run_id") == run.run_id
            if labels["alertname"] == name and entry["status"] == status and mine:
                return float(entry["first_seen"])
        return None

    notified_at = wait_until(found, f"the notification that {name} is {status}", seconds)
    assert notified_at is not None
    return notified_at


@contextmanager
def stopped(stack: RunningStack, part: str) -> Iterator[float]:
    """Stops a part of the stack; yields the Unix time since when it is down."""
    stack.stop(part)
    try:
        yield time.time()
    finally:
        stack.start(part)


def loss_is_no_number(stack: RunningStack) -> tuple[DagRun, float]:
    """Starts a DAG run whose loss becomes NaN or infinite; yields it and the Unix time at which its ledger says so."""
    dag_run = trigger(stack, {**SMALL, "peak_learning_rate": 1e6, "epochs": 10})
    dag_run.wait("failed")
    return dag_run, max(record.ended or 0.0 for record in dag_run.run.attempts() if record.stage == "train")


def train_killed(stack: RunningStack, attempts: int = 1) -> tuple[DagRun, float]:
    """Starts a DAG run whose train stage is killed in each of its attempts; yields it and the Unix time of the last
    kill.
    """
    dag_run = trigger(stack, SLOW, SLOW_DAG)
    killed = 0.0
    for number in range(1, attempts + 1):
        pid = dag_run.attempt("train", number).pid
        wait_until(lambda: dag_run.epochs(number) >= 1, f"an epoch of attempt {number}")  # noqa: B023
        os.kill(pid, signal.SIGKILL)
        killed = time.time()
    return dag_run, killed


def points_are_due(run: Run) -> None:
    """Moves a run's end back, because its points are only expected two minutes after it."""
    earlier = time.time() - 180
    run.update_summary(lambda summary: dataclasses.replace(summary, updated=earlier, finished=earlier))


def told_by_command(file: Path) -> list[str]:
    """Returns the first lines of the dead-man watch's callouts, from a command that appends to this file."""
    text = file.read_text() if file.exists() else ""
    return [line for line in text.splitlines() if line.startswith(("CRITICAL", "Resolved"))]
