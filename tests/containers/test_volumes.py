"""What the volumes keep when all containers go and new ones come: everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catwalk.clients import courier
from catwalk.clients.alertmanager import end_planned_silences
from tests.containers.composed import ComposedStack
from tests.containers.test_runs import PATIENCE, SHORT, TASKS
from tests.integration.conftest import DagRun, assert_all_stored, trigger
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.containers, pytest.mark.timeout(3600)]

REASON = "containers recreated"


def test_down_and_up_keep_everything(stack: ComposedStack) -> None:
    dag_run = trigger(stack, SHORT)
    dag_run.wait("success", PATIENCE)
    assert_all_stored(stack, dag_run.run)
    silence = stack.catwalk("silence", "--minutes", "60", "--reason", REASON, "--by", "a test")
    assert silence.returncode == 0, silence.stderr
    wait_until(lambda: notified(stack), "the Watchdog's notification is in the courier", PATIENCE)
    records, log, heard = listed(stack), dag_run.log("train", 1), notified(stack)
    stack.compose("down")
    assert stack.containers() == []
    stack.up()
    assert listed(stack) == records
    assert notified(stack) >= heard
    assert dag_run.states() == dict.fromkeys(TASKS, "success")
    assert dag_run.log("train", 1) == log
    assert end_planned_silences(stack.settings.url("alertmanager")) == 1, "Alertmanager keeps the silence"
    assert_all_stored(stack, stack.ledger.run(dag_run.run.run_id))  # its S3 has another address now
    goes_on(stack, dag_run)


def goes_on(stack: ComposedStack, before: DagRun) -> None:
    """Another run of the same recipe competes with what shipped before."""
    after = trigger(stack, {**SHORT, "seed": 7})
    after.wait("success", PATIENCE)
    assert_all_stored(stack, after.run)
    assert {run["run_id"] for run in listed(stack)} >= {before.run.run_id, after.run.run_id}


def listed(stack: ComposedStack) -> list[dict[str, Any]]:
    """All runs, as the command line has them."""
    done = stack.catwalk("runs", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def notified(stack: ComposedStack) -> set[tuple[str, str]]:
    """Name and begin of each alert whose notifications the courier keeps."""
    told = courier.told(stack.settings.url("courier"), 200)["notifications"]
    return {(one["labels"]["alertname"], one["starts_at"]) for one in told}
