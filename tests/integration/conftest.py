"""Small runs in a real stack, and what of them is in Prometheus."""

from __future__ import annotations

import os
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from catwalk.clients.airflow_api import AirflowError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.runs import Run, new_run_id, run_id_of_dag_run
from catwalk.replay.points import run_points
from stack.settings import PROJECT
from tests.conftest import RunningStack, wait_until
from tests.models.shapes import SHAPES
from tests.models.slow import CLASSIFIER as SLOW_CLASSIFIER
from tests.support.points import of_ledger, of_prometheus
from tests.support.small import SMALL

DAG, SLOW_DAG = "fashion_training", "fashion_slow"
EASY = {"accuracy_floor": 0.4, "recall_floor": 0, "calibration_cap": 1, "serve_check": "off"}
"""Parameters of the second model: its gate lets nearly everything pass."""
COMPLETENESS = (
    "count by (run_id) (group by (__name__, run_id, epoch, split, class, true_class, predicted_class, stage) "
    '(last_over_time({__name__=~"ml_.+", run_id!=""}[1d])))'
)


@pytest.fixture
def services(services: RunningStack) -> Iterator[RunningStack]:
    """The services, with this process as their client."""
    with services.as_environment():
        yield services


@pytest.fixture
def stack(stack: RunningStack) -> Iterator[RunningStack]:
    """The whole stack, with this process as its client."""
    with stack.as_environment():
        yield stack


def start_run(stack: RunningStack, knobs: dict[str, Any], **environment: str) -> tuple[Run, subprocess.Popen[str]]:
    """``catwalk run`` as a process, and its run."""
    run_id = new_run_id()
    flags = [text for name, value in knobs.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [str(PROJECT / ".venv" / "bin" / "catwalk"), "run", "--run-id", run_id, *flags],
        env={**stack.environment, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return stack.ledger.run(run_id), process


def start_slow(stack: RunningStack, knobs: dict[str, Any]) -> tuple[Run, subprocess.Popen[str]]:
    """The same at a pace at which it can be caught in the middle."""
    return start_run(stack, knobs, CATWALK_TRAINABLE=SLOW_CLASSIFIER.reference)


def start_shapes(stack: RunningStack, **knobs: Any) -> tuple[Run, subprocess.Popen[str]]:
    """The same of the second model."""
    return start_run(stack, {**EASY, **knobs}, CATWALK_TRAINABLE=SHAPES.reference)


def finish(process: subprocess.Popen[str], seconds: float = 300) -> str:
    """Waits for a successful end; returns what was printed."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return output


def small_run(stack: RunningStack, **environment: str) -> Run:
    """A run that has finished."""
    run, process = start_run(stack, SMALL, **environment)
    finish(process)
    return run


def assert_all_stored(stack: RunningStack, run: Run) -> int:
    """Every point of the ledger is in Prometheus, with its value, and nothing else is; returns how many."""
    expected = of_ledger(run_points(run))
    wait_until(lambda: of_prometheus(stack, run.run_id) == expected, f"all {len(expected)} points with their values")
    return len(expected)


@dataclass(frozen=True)
class DagRun:
    """A run of the DAG, seen through Airflow's REST API and in the ledger."""

    stack: RunningStack
    dag_run_id: str
    run: Run
    """The run whose id comes from the DAG run alone. A sweep has no such run, but its id is the sweep's."""
    dag_id: str = DAG

    @property
    def path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{urllib.parse.quote(self.dag_run_id, safe='')}"

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Task id → its instance."""
        answer = self.stack.airflow("GET", f"{self.path}/taskInstances")
        return {task["task_id"]: task for task in answer["task_instances"]}

    def states(self) -> dict[str, str]:
        return {name: task["state"] for name, task in self.tasks().items()}

    def state(self) -> str:
        return str(self.stack.airflow("GET", self.path)["state"])

    def wait(self, state: str, seconds: float = 400) -> None:
        """Waits for the end, which must be this one."""
        found = wait_until(self._end, "the DAG run's end", seconds, every=0.5)
        assert found == state, self.states()

    def _end(self) -> str:
        """Empty until it has one; an Airflow that is too busy to answer is asked again."""
        try:
            now = self.state()
        except AirflowError:
            return ""
        return now if now in ("success", "failed") else ""

    def log(self, task: str, attempt: int) -> str:
        """What a try of a task has logged."""
        answer = self.stack.airflow("GET", f"{self.path}/taskInstances/{task}/logs/{attempt}?full_content=true")
        return "\n".join(str(line) for line in answer["content"])

    def attempt(self, stage: str, number: int) -> AttemptRecord:
        """Waits for an attempt to start."""
        return attempt_of(self.run, stage, number)

    def epochs(self, attempt: int) -> int:
        """Epochs in the ledger once this attempt of train has written."""
        return epochs_of(self.run, attempt)

    def clear(self) -> None:
        """What the button "clear" does to a whole DAG run."""
        body = {"dag_run_id": self.dag_run_id, "dry_run": False, "only_failed": False}
        self.stack.airflow("POST", f"dags/{self.dag_id}/clearTaskInstances", body)


def wait_for_dag(stack: RunningStack, dag_id: str) -> None:
    """Waits until Airflow has read the DAG's file."""
    known = f"Airflow knows the DAG {dag_id}"
    wait_until(lambda: dag_id in [dag["dag_id"] for dag in stack.airflow("GET", "dags")["dags"]], known)


def trigger(stack: RunningStack, conf: dict[str, Any], dag_id: str = DAG) -> DagRun:
    """Starts a DAG run with these parameters."""
    wait_for_dag(stack, dag_id)
    answer = stack.airflow("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
    run_id = run_id_of_dag_run(datetime.fromisoformat(answer["run_after"]), dag_id, answer["dag_run_id"])
    return DagRun(stack, answer["dag_run_id"], stack.ledger.run(run_id), dag_id)


def attempt_of(run: Run, stage: str, number: int) -> AttemptRecord:
    """Waits for an attempt to start."""

    def started() -> AttemptRecord | None:
        found = [record for record in run.attempts() if (record.stage, record.number) == (stage, number)]
        return found[0] if found else None

    return wait_until(started, f"attempt {number} of {stage}", 300)  # type: ignore[return-value]


def epochs_of(run: Run, attempt: int) -> int:
    """Epochs in the ledger once this attempt of train has written."""
    training = run.training()
    return len(training.epochs) if training and training.attempt == attempt else 0


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def in_exporter(stack: RunningStack, run: Run, state: str) -> bool:
    """Whether Prometheus shows the run in this state, by way of the exporter."""
    found = stack.query(f'catwalk_run_state{{run_id="{run.run_id}", state="{state}"}}')
    return [value for _, value in found] == [1.0]


def stored(services: RunningStack, run: Run) -> int:
    """The result of the completeness query for one run."""
    found = [value for labels, value in services.query(COMPLETENESS) if labels["run_id"] == run.run_id]
    return int(found[0]) if found else 0


def missing(services: RunningStack, run: Run) -> list[float]:
    """By how many points Prometheus falls short of what the exporter expects."""
    expected = f'catwalk_run_points_expected{{run_id="{run.run_id}"}}'
    return [value for _, value in services.query(f"{expected} - on (run_id) group_left () ({COMPLETENESS})")]
