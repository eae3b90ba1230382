"""Airflow on two Celery workers over PostgreSQL and Redis: four sweeps at once, and a worker that dies in the middle.

One scenario; the tests check it from several sides.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
import pytest

from catwalk.ledger.runs import Run, run_id_of_dag_run
from catwalk.ledger.sweep import NOT_CHOSEN, chosen
from ml.fashion_mnist.dataset import dataset_root
from stack.native import starting
from stack.settings import PROJECT
from tests.conftest import RunningStack, running_stack, wait_until
from tests.integration.conftest import (
    DagRun,
    assert_all_stored,
    attempt_of,
    epochs_of,
    finish,
    in_exporter,
    missing,
    start_run,
    trigger,
)
from tests.integration.faults import points_are_due
from tests.support.databases import databases, not_installed
from tests.support.small import SMALL

pytestmark = [pytest.mark.integration, pytest.mark.distributed, pytest.mark.timeout(1800)]

SWEEP = "fashion_sweep"
WORKERS = ("airflow-worker-a", "airflow-worker-b")
REAL = (dataset_root() / "FashionMNIST" / "raw").is_dir()
TINY = {**SMALL, "train_examples": 2_000, "source": "fashion-mnist" if REAL else "synthetic"}
LONG = {**TINY, "epochs": 15, "batch_size": 4, "peak_learning_rate": 0.004, "seed": 1}
"""A training of some seconds, long enough for its worker to die in the middle."""
SWEEPS: list[dict[str, Any]] = [
    {**LONG, "space": {"batch_size": [4, 50]}},
    {**TINY, "seed": 2, "space": {"peak_learning_rate": [0.1, 1e6]}},  # the second's loss soon becomes NaN
    {**TINY, "seed": 3, "space": {"peak_learning_rate": [0.05, 0.1]}},
    {**TINY, "seed": 4, "space": {"dropout": {"low": 0.0, "high": 0.5}}, "search": "random", "trials": 2},
]
TRIALS = 2


@dataclass(frozen=True)
class Sweep:
    """A DAG run of the sweep, and its trials."""

    dag_run: DagRun
    trials: list[Run]

    @property
    def winner(self) -> Run:
        record = chosen(self.dag_run.run.store, self.dag_run.run.run_id)
        assert record is not None
        return next(run for run in self.trials if run.run_id == record.winner)

    def instances(self, task: str) -> list[dict[str, Any]]:
        """Airflow's instances of a task, in the order of the trials that it is mapped over."""
        answer = self.dag_run.stack.airflow("GET", f"{self.dag_run.path}/taskInstances?limit=100")
        found = [instance for instance in answer["task_instances"] if instance["task_id"] == task]
        return sorted(found, key=lambda instance: instance["map_index"])


@dataclass(frozen=True)
class Scenario:
    """What remains when everything is over."""

    stack: RunningStack
    sweeps: list[Sweep]
    killed: str
    """The worker that died, as a part of the stack."""
    retried_on: str
    """The worker that took over its training."""
    undisturbed: Run
    """The same training from the command line, undisturbed."""

    @property
    def runs(self) -> list[Run]:
        return [run for sweep in self.sweeps for run in sweep.trials]


@pytest.fixture(scope="module")
def scenario() -> Iterator[Scenario]:
    lacking = not_installed()
    if lacking:
        pytest.skip(f"NOT TESTED: several Celery workers, for {lacking} can't be found; install the system's packages")
    with databases() as found:
        settings = {
            **found.airflow,
            "CATWALK_SWEEP_PARALLEL": "4",
            "CATWALK_TASK_RETRIES": "3",
            "CATWALK_RETRY_DELAY_SECONDS": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            # A worker may die with a task that it has received but not begun.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "20",
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(starting, "START_SECONDS", 600.0)  # six Airflow processes start at once
            with running_stack(None, settings) as stack, stack.as_environment():
                yield play(stack)


def play(stack: RunningStack) -> Scenario:
    """Four sweeps at once; the worker that trains the long trial dies as a machine does, with all its processes."""
    sweeps = [start_sweep(stack, conf) for conf in SWEEPS]
    long = sweeps[0].trials[0]
    first = attempt_of(long, "train", 1)
    wait_until(lambda: epochs_of(long, 1) >= 2, "two epochs of the long trial")
    killed = worker_of(stack, first.pid)
    kill_tree(stack.process(killed))
    take_down(stack, killed)
    assert epochs_of(long, 1) < LONG["epochs"], "it died in the middle"
    undisturbed, process = start_run(stack, LONG)
    retried_on = worker_of(stack, attempt_of(long, "train", 2).pid)
    finish(process)
    for sweep in sweeps:
        sweep.dag_run.wait("success")
    return Scenario(stack, sweeps, killed, retried_on, undisturbed)


def start_sweep(stack: RunningStack, conf: dict[str, Any]) -> Sweep:
    dag_run = trigger(stack, conf, SWEEP)
    answer = stack.airflow("GET", dag_run.path)
    when = datetime.fromisoformat(answer["run_after"])
    ids = [run_id_of_dag_run(when, SWEEP, dag_run.dag_run_id, index) for index in range(TRIALS)]
    return Sweep(dag_run, [stack.ledger.run(run_id) for run_id in ids])


def worker_of(stack: RunningStack, pid: int) -> str:
    """Returns the worker that a task's process belongs to."""
    above = {process.pid for process in psutil.Process(pid).parents()}
    [name] = [name for name in WORKERS if stack.supervisor.processes().get(name) in above]
    return name


def take_down(stack: RunningStack, part: str) -> None:
    """Keeps the supervisor from restarting a part at once, which would not happen on a dead machine."""

    def down() -> bool:
        stack.stop(part)
        return stack.supervisor.states()[part] == "STOPPED"

    wait_until(down, f"{part} stays down")


def kill_tree(process: psutil.Process) -> None:
    """Sends SIGKILL to a process and all its descendants, parents first, so that none can clean up."""
    tree = [process, *process.children(recursive=True)]
    for one in tree:
        one.kill()
    psutil.wait_procs(tree, timeout=30)


def test_all_sweeps_complete_although_a_worker_died(scenario: Scenario) -> None:
    assert scenario.stack.supervisor.states()[scenario.killed] == "STOPPED"
    for sweep in scenario.sweeps:
        for task in ("plan", "choose", "test", "decide"):
            assert [instance["state"] for instance in sweep.instances(task)] == ["success"]
        assert [instance["state"] for instance in sweep.instances("publish")] == ["success"] * TRIALS
    trained = [[instance["state"] for instance in sweep.instances("train")] for sweep in scenario.sweeps]
    assert trained == [["success"] * 2, ["success", "failed"], ["success"] * 2, ["success"] * 2]
    first = scenario.sweeps[0].instances("train")[0]
    assert first["rendered_map_index"] == "batch_size=4", "Airflow shows what a trial varies"


def test_the_dead_workers_training_continued_on_the_other_worker(scenario: Scenario) -> None:
    assert scenario.retried_on != scenario.killed
    long = scenario.sweeps[0].trials[0]
    trainings = [record for record in long.attempts() if record.stage == "train"]
    assert [record.outcome for record in trainings] == [None, "succeeded"], "the killed attempt has no end"
    instance = scenario.sweeps[0].instances("train")[0]
    assert (instance["state"], instance["try_number"]) == ("success", 2), "neither twice nor never"


def test_its_model_is_bit_for_bit_that_of_an_undisturbed_run(scenario: Scenario) -> None:
    disturbed, undisturbed = scenario.sweeps[0].trials[0].training(), scenario.undisturbed.training()
    assert disturbed is not None
    assert undisturbed is not None
    assert disturbed.reproducible
    assert disturbed.model_sha256 == undisturbed.model_sha256
    assert [record.validation_loss for record in disturbed.epochs] == [
        record.validation_loss for record in undisturbed.epochs
    ]


def test_every_point_of_every_run_is_in_prometheus_and_under_no_other_run(scenario: Scenario) -> None:
    stack = scenario.stack
    runs = [*scenario.runs, scenario.undisturbed]
    counts = [assert_all_stored(stack, run) for run in runs]
    assert min(counts) > 0
    of_runs = 'group by (run_id) (last_over_time({__name__=~"ml_.+", run_id!=""}[1d]))'
    assert {labels["run_id"] for labels, _ in stack.query(of_runs)} == {run.run_id for run in runs}
    for run in runs:
        points_are_due(run)
    for run in runs:
        wait_until(lambda run=run: missing(stack, run) == [0.0], "the exporter misses no point")  # type: ignore[misc]


def test_one_trial_of_each_sweep_was_tested_and_the_others_say_why_not(scenario: Scenario) -> None:
    for sweep in scenario.sweeps:
        winner = sweep.winner.summary()
        assert winner is not None
        assert winner.state == "succeeded"
        assert winner.decision in ("ship", "hold")
        for run in sweep.trials:
            summary = run.summary()
            assert summary is not None
            assert (summary.trigger, summary.sweep) == ("sweep", sweep.dag_run.run.run_id)
            if run.run_id != winner.run_id:
                assert run.evaluation() is None
                assert summary.reason == NOT_CHOSEN or summary.state == "failed"
    broken = scenario.sweeps[1].trials[1].summary()
    assert broken is not None
    assert broken.state == "failed"
    assert "not finite" in broken.error
    for run in scenario.runs:
        state = "failed" if run.run_id == broken.run_id else "succeeded"
        wait_until(lambda run=run, state=state: in_exporter(scenario.stack, run, state), "its state")  # type: ignore[misc]


def test_a_sweep_is_never_the_latest_and_notifies_no_one(scenario: Scenario) -> None:
    stack = scenario.stack
    wait_until(lambda: stack.query('catwalk_model_accuracy_ratio{role="champion"}'), "a winner that has shipped")
    assert stack.query('catwalk_model_accuracy_ratio{role="latest"}') == []
    firing = {labels["alertname"] for labels, _ in stack.query('ALERTS{alertstate="firing"}')}
    assert not {name for name in firing if name.startswith("Pipeline")} | firing & {"TelemetryIncomplete"}


def test_the_command_line_lists_and_compares_trials(scenario: Scenario) -> None:
    sweep = scenario.sweeps[2]
    listed = json.loads(catwalk(scenario, "runs", "--where", f"sweep = {sweep.dag_run.run.run_id}", "--json"))
    assert {run["run_id"] for run in listed} == {run.run_id for run in sweep.trials}
    compared = catwalk(scenario, "compare", *(run.run_id for run in sweep.trials))
    assert "peak_learning_rate" in compared


def test_the_mapping_knows_everything_that_airflow_sends_about_celery(scenario: Scenario) -> None:
    for trouble in ("statsd_exporter_events_unmapped_total", "statsd_exporter_events_conflict_total"):
        assert scenario.stack.query(f"sum by (type) ({trouble}) > 0") == [], trouble


def catwalk(scenario: Scenario, *arguments: str) -> str:
    command = [str(PROJECT / ".venv" / "bin" / "catwalk"), *arguments]
    done = subprocess.run(
        command, env=scenario.stack.environment, capture_output=True, text=True, timeout=500, check=True
    )
    return done.stdout
