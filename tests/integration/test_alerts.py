"""Faults in a real stack, and their notifications: from the fault to the courier, and back when it is repaired."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.settings import PROJECT
from tests.conftest import RunningStack, dag_folder, running_stack, wait_until
from tests.integration.conftest import SLOW_DAG, trigger
from tests.integration.faults import (
    loss_is_no_number,
    notifications,
    points_are_due,
    stopped,
    told_by_command,
    train_killed,
    wait_for_alert,
)
from tests.support.small import SLOW, SMALL

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

QUIET_SECONDS = 120.0
"""How long a healthy stack runs undisturbed, with a run in it."""


@pytest.fixture(scope="module")
def callouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the dead-man watch writes its callouts."""
    return tmp_path_factory.mktemp("callouts") / "told.txt"


@pytest.fixture(scope="module")
def own_stack(callouts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole stack in which a failed task is not retried."""
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dag_folder(tmp_path_factory.mktemp("dags"), "slow_dag.py")),
        "CATWALK_TASK_RETRIES": "0",
        "CATWALK_CALLOUT_COMMAND": f"cat >> '{callouts}'",
        "CATWALK_DEADMAN_SECONDS": "30",  # a busy machine may delay the Watchdog for some time
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    }
    with running_stack(None, settings) as running:
        yield running


@pytest.fixture
def stack(own_stack: RunningStack) -> Iterator[RunningStack]:
    """The stack, with this process as its client."""
    with own_stack.as_environment():
        yield own_stack


def test_a_healthy_stack_with_a_run_is_quiet(stack: RunningStack, callouts: Path) -> None:
    started = time.monotonic()
    trigger(stack, SMALL).wait("success")
    wait_until(lambda: stack.query('ALERTS{alertname="Watchdog"}'), "the Watchdog is firing")
    while time.monotonic() - started < QUIET_SECONDS:
        assert [labels for labels, _ in stack.query('ALERTS{alertname!="Watchdog", alertstate="firing"}')] == []
        time.sleep(2)
    assert notifications(stack) == []
    assert told_by_command(callouts) == []


def test_a_loss_of_nan_is_notified(stack: RunningStack) -> None:
    dag_run, failed = loss_is_no_number(stack)
    took("ModelLossNotFinite", wait_for_alert(stack, "ModelLossNotFinite", run=dag_run.run) - failed)
    took("PipelineRunFailed", wait_for_alert(stack, "PipelineRunFailed", run=dag_run.run) - failed)


def test_a_run_whose_train_stage_was_killed_is_notified(stack: RunningStack) -> None:
    dag_run, killed = train_killed(stack)
    took("PipelineRunFailed", wait_for_alert(stack, "PipelineRunFailed", run=dag_run.run) - killed)


def test_an_exporter_that_stops_is_notified_and_so_are_the_lost_points(stack: RunningStack) -> None:
    dag_run = trigger(stack, SLOW, SLOW_DAG)
    dag_run.attempt("train", 1)
    wait_until(lambda: dag_run.epochs(1) >= 2, "two epochs")
    with stopped(stack, "statsd_exporter") as since:
        took("StatsdExporterDown", wait_for_alert(stack, "StatsdExporterDown") - since)
        dag_run.wait("success")
        points_are_due(dag_run.run)
        wait_until(
            lambda: stack.query(f'ALERTS{{alertname="TelemetryIncomplete", run_id="{dag_run.run.run_id}"}}'),
            "Prometheus counts the points",
        )
        assert not [entry for entry in notifications(stack) if entry["labels"]["alertname"] == "TelemetryIncomplete"], (
            "while statsd_exporter is down, only that is notified"
        )
    wait_for_alert(stack, "StatsdExporterDown", "resolved")
    took("TelemetryIncomplete", wait_for_alert(stack, "TelemetryIncomplete", run=dag_run.run) - since)
    replayed = time.time()
    command = [str(PROJECT / ".venv" / "bin" / "catwalk"), "replay", dag_run.run.run_id]
    subprocess.run(command, env=stack.environment, check=True, timeout=500, stdout=subprocess.DEVNULL)
    resolved = wait_for_alert(stack, "TelemetryIncomplete", "resolved", run=dag_run.run)
    took("TelemetryIncomplete resolved, from replay", resolved - replayed)


def test_an_s3_that_is_down_is_notified(stack: RunningStack) -> None:
    with stopped(stack, "s3") as since:
        took("StoreUnavailable", wait_for_alert(stack, "StoreUnavailable") - since)
    wait_for_alert(stack, "StoreUnavailable", "resolved")


def test_the_dead_man_watch_calls_out_when_prometheus_has_gone(stack: RunningStack, callouts: Path) -> None:
    with stopped(stack, "prometheus") as since:
        wait_until(lambda: told_by_command(callouts), "the dead-man watch calls out")
        took("the dead-man watch", time.time() - since)
    wait_until(lambda: len(told_by_command(callouts)) == 2, "and again when it gets the Watchdog again")
    assert [line.partition(":")[0] for line in told_by_command(callouts)] == ["CRITICAL", "Resolved"]


def took(what: str, seconds: float) -> None:
    """Shown by pytest with `-s` and for failures; the bench measures with the shipped intervals."""
    print(f"from the fault to the notification of {what}: {seconds:.1f} s")
