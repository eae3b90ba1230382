"""How long it takes from a fault to the notification, with the shipped intervals."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import Measurement
from tests.conftest import RunningStack, dag_folder, running_stack, wait_until
from tests.integration.conftest import SLOW_DAG, trigger
from tests.integration.faults import (
    loss_is_no_number,
    points_are_due,
    stopped,
    told_by_command,
    train_killed,
    wait_for_alert,
)
from tests.support.small import SLOW

PROMISE = {
    "ModelLossNotFinite": "at most 90",
    "PipelineRunFailed": "at most 90",
    "StatsdExporterDown": "at most 90",
    "StoreUnavailable": "at most 90",
    "TelemetryIncomplete": "at most 120, once statsd_exporter is back",
    "dead-man watch": "-",
}
"""The fault's alert → seconds: 90 if the alert waits for at most 30 s, otherwise its waiting time plus 60."""


def measure(say: Callable[[str], None]) -> list[Measurement]:
    """Takes one reading of each fault, in one stack. A round takes about ten minutes."""
    with tempfile.TemporaryDirectory() as folder:
        callouts = Path(folder) / "told.txt"
        (dags := Path(folder) / "dags").mkdir()
        settings = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dag_folder(dags, "slow_dag.py")),
            "CATWALK_TASK_RETRIES": "0",
            "CATWALK_CALLOUT_COMMAND": f"cat >> '{callouts}'",
        }
        say("faults: starting a stack with the shipped intervals")
        with running_stack(None, settings, interval="10s") as stack, stack.as_environment():
            found = _alerts(stack, say) | _dead_man(stack, callouts, say)
    return [
        Measurement(f"from the fault to the notification: {name}", [seconds], " s", PROMISE[name])
        for name, seconds in found.items()
    ]


def _alerts(stack: RunningStack, say: Callable[[str], None]) -> dict[str, float]:
    found = {}
    say("faults: a loss that is not a number")
    dag_run, failed = loss_is_no_number(stack)
    found["ModelLossNotFinite"] = wait_for_alert(stack, "ModelLossNotFinite", run=dag_run.run) - failed
    say("faults: train is killed")
    dag_run, killed = train_killed(stack)
    found["PipelineRunFailed"] = wait_for_alert(stack, "PipelineRunFailed", run=dag_run.run) - killed
    say("faults: statsd_exporter stops while a run trains")
    dag_run = trigger(stack, SLOW, SLOW_DAG)
    dag_run.attempt("train", 1)
    wait_until(lambda: dag_run.epochs(1) >= 2, "two epochs")
    with stopped(stack, "statsd_exporter") as since:
        found["StatsdExporterDown"] = wait_for_alert(stack, "StatsdExporterDown") - since
        dag_run.wait("success")
        points_are_due(dag_run.run)
    back = time.time()
    found["TelemetryIncomplete"] = wait_for_alert(stack, "TelemetryIncomplete", run=dag_run.run, seconds=400) - back
    say("faults: S3 stops")
    with stopped(stack, "s3") as since:
        found["StoreUnavailable"] = wait_for_alert(stack, "StoreUnavailable") - since
    return found


def _dead_man(stack: RunningStack, callouts: Path, say: Callable[[str], None]) -> dict[str, float]:
    say("faults: Prometheus stops")
    wait_until(lambda: stack.query("catwalk_store_up == 1"), "S3 is back")
    with stopped(stack, "prometheus") as since:
        wait_until(lambda: told_by_command(callouts), "the dead-man watch calls out")
        return {"dead-man watch": time.time() - since}
