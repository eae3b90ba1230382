"""A whole DAG run in warm Airflow, and the cost of parsing the DAG file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime

from stack.settings import PROJECT
from tests.bench.measure import Measurement
from tests.conftest import running_stack
from tests.integration.conftest import trigger
from tests.support.small import SMALL

READ = """
import time
import airflow.sdk
started = time.perf_counter()
import runpy, sys
sys.path.append("dags")
runpy.run_path("dags/fashion_training.py")
print(time.perf_counter() - started)
assert "torch" not in sys.modules
"""


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures small runs on synthetic data, so that the stages take little time. The first run, which warms Airflow
    up, doesn't count.
    """
    walls, overheads = [], []
    say("pipeline: starting a stack")
    with running_stack(None) as stack, stack.as_environment():
        for number in range(rounds + 1):
            say(f"pipeline: DAG run {number} of {rounds}")
            dag_run = trigger(stack, SMALL)
            dag_run.wait("success")
            answer = stack.airflow("GET", dag_run.path)
            begun, ended = (datetime.fromisoformat(answer[key]) for key in ("run_after", "end_date"))
            ours = sum(record.duration_seconds or 0 for record in dag_run.run.attempts())
            walls.append((ended - begun).total_seconds())
            overheads.append(walls[-1] - ours)
    return [
        Measurement("a small DAG run of five tasks, wall time", walls[1:], " s", "-"),
        Measurement(
            "the part of it that is not Catwalk: scheduling, process start, imports", overheads[1:], " s", "at most 20"
        ),
        Measurement("reading the DAG file", _reading(rounds), " s", "under 0.5, without torch"),
    ]


def _reading(rounds: int) -> list[float]:
    """Returns the seconds in fresh processes that have Airflow's task SDK loaded, as its DAG processor has."""
    command = [sys.executable, "-c", READ]
    return [
        float(subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]
