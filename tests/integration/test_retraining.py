"""Retraining on request in the real stack: Alertmanager notifies the courier, and the courier asks Airflow, once.

Airflow is paused, stopped, restored from a backup, or busy with a scheduled run meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catwalk.clients import alertmanager
from catwalk.clients.airflow_api import AirflowRefusedError
from catwalk.ledger.records.retraining import RequestRecord, RetrainingSettings, SlotRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries
from catwalk.retraining import slots
from catwalk.retraining.episodes import claimed
from catwalk.retraining.events import Fired, TurnedOn
from catwalk.retraining.run_ids import dag_run_id
from catwalk.retraining.transitions import budget_left
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk_courier.retraining.airflow import Airflow
from catwalk_courier.retraining.driver import Driver
from catwalk_courier.retraining.requests import Requests
from stack.native import control
from tests.catwalk.retraining.test_episodes import NAMES
from tests.conftest import RunningStack, wait_until
from tests.integration.conftest import DagRun, assert_all_stored, wait_for_dag
from tests.integration.test_dag import TASKS, pause

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MODEL, DAG, ONCE = "shapes", "shapes_on_request", "shapes_once"
AIRFLOW = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]
SETTINGS = RetrainingSettings(dag_id=DAG, strikes=10, watch_predictions=0)
FIRING: list[dict[str, str]] = [{}, {"severity": "critical"}, {"again": "yes"}]
"""Labels that tell the alerts of these tests apart."""
SKIPPED = {**dict.fromkeys(TASKS, "skipped"), "publish": "success"}
"""States of the tasks of a run whose episode has another run."""
VERDICTS = {"ship": "shipped", "hold": "held"}


@pytest.fixture(autouse=True)
def _allowed(stack: RunningStack) -> Iterator[None]:
    """Turns retraining on; at the end, no alert is firing."""
    allow(stack)
    yield
    for labels in FIRING:
        tell(stack, -1, **labels)


def tell(stack: RunningStack, seconds: float = 600, **labels: str) -> float:
    """Posts an alert as Prometheus does, firing for some seconds; returns the time. Negative seconds resolve it."""
    now = time.time()
    told = {"alertname": "ServiceInputDrifted", "severity": "warning", "model": MODEL, "retrain": "yes", **labels}
    texts = {"summary": f"{MODEL}: the inputs of the service have drifted"}
    alertmanager.post(stack.settings.url("alertmanager"), told, texts, now + min(0, seconds), now + seconds)
    return now


def slot(stack: RunningStack) -> SlotRecord:
    found = slots.find(stack.ledger.store, MODEL)
    assert found
    return found[0]


def judged(stack: RunningStack, number: int) -> RequestRecord:
    """Waits for the judgement on an episode."""

    def find() -> RequestRecord | None:
        now = slot(stack)
        known = [one for one in (*now.history, now.episode) if one and one.number == number and one.verdict]
        return known[0] if known else None

    found = wait_until(find, f"the judgement on episode {number}", 400)
    assert found
    return found


def dag_runs(stack: RunningStack, dag_id: str) -> list[str]:
    """Ids of the DAG runs that Airflow has, in the order in which it got them."""
    runs = stack.airflow("GET", f"dags/{dag_id}/dagRuns?limit=100&order_by=id")["dag_runs"]
    return [run["dag_run_id"] for run in runs]


def requested_runs(stack: RunningStack, dag_id: str, model: str = MODEL) -> list[str]:
    """Ids of those that alerts requested for a model."""
    return [name for name in dag_runs(stack, dag_id) if name.startswith(f"catwalk__{model}__e")]


def dag_run_of(stack: RunningStack, episode: RequestRecord) -> DagRun:
    return DagRun(stack, episode.dag_run_id, stack.ledger.run(episode.run_id), DAG)


def test_an_alert_is_refused_by_a_paused_dag_and_then_one_run_that_says_who_has_asked_for_it(
    stack: RunningStack,
) -> None:
    wait_for_dag(stack, DAG)
    pause(stack, DAG, True)
    try:
        tell(stack)
        refused = f'catwalk_retraining_refusals_total{{model="{MODEL}", reason="paused"}} == 1'
        wait_until(lambda: stack.query(refused), "it is refused, and the reason is in Prometheus")
        assert (slot(stack).state, slot(stack).number, dag_runs(stack, DAG)) == ("idle", 0, [])
    finally:
        pause(stack, DAG, False)
    told = time.time()
    tell(stack, **FIRING[1])  # another alert of the same fault
    wait_until(lambda: slot(stack).state == "running", "Airflow has the run")
    began = time.time()
    found = judged(stack, 1)
    print(f"alert → run in Airflow {began - told:.1f} s → judged {found.judged - told:.1f} s")
    assert dag_runs(stack, DAG) == ["catwalk__shapes__e1"] == [found.dag_run_id]
    dag_run_of(stack, found).wait("success")
    assert dag_run_of(stack, found).states() == dict.fromkeys(TASKS, "success")
    run = stack.ledger.run(found.run_id)
    record, decision = run.record, run.decision()
    assert (record.trigger, record.alert, record.episode) == ("alert", "ServiceInputDrifted", 1)
    assert decision and found.verdict == VERDICTS[decision.decision]
    assert_all_stored(stack, run)
    note = stack.airflow("GET", f"dags/{DAG}/dagRuns/{found.dag_run_id}")["note"]
    assert note == "Catwalk: requested by ServiceInputDrifted, episode 1 of shapes."
    page = f"{stack.settings.url('exporter')}/runs/{run.run_id}"
    wait_until(lambda: "ServiceInputDrifted, episode 1" in text_at(page), "the run's page names the alert")
    series = f'catwalk_retraining_state{{model="{MODEL}"}} == 1'
    wait_until(lambda: stack.query(series), "the state is in Prometheus")


def text_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_run_that_airflow_starts_again_by_the_same_id_is_skipped(stack: RunningStack) -> None:
    """As after its database was restored to before the run."""
    found = judged(stack, 1)
    before = files(stack, found)
    stack.airflow("DELETE", dag_run_of(stack, found).path)
    stack.airflow("POST", f"dags/{DAG}/dagRuns", {"dag_run_id": found.dag_run_id, "logical_date": None})
    again = dag_run_of(stack, found)
    again.wait("success")
    assert again.states() == SKIPPED
    assert files(stack, found) == before
    assert of_episode(stack, 1) == [stack.ledger.run(found.run_id)]


def files(stack: RunningStack, found: RequestRecord) -> list[tuple[str, str]]:
    store = stack.ledger.store
    return [(entry.key, entry.etag) for entry in store.list(f"runs/{found.run_id}/")]


def of_episode(stack: RunningStack, number: int) -> list[Run]:
    """The runs in the ledger that the request of an episode has started."""
    found = [one.run_id for one in Summaries(stack.ledger.store).read() if (one.model, one.trigger) == (MODEL, "alert")]
    return [run for run in map(stack.ledger.run, found) if run.record.episode == number]


def test_a_run_has_no_logical_date_that_another_could_have_too(stack: RunningStack) -> None:
    """Airflow refuses a second run with the same one, and has no run by its id then. It takes the id of any model."""
    wait_for_dag(stack, ONCE)
    date, airflow = "2026-01-01T00:00:00Z", Airflow()
    ids = [dag_run_id(name, 1) for name in NAMES]
    runs = f"dags/{ONCE}/dagRuns"
    try:
        stack.airflow("POST", runs, {"dag_run_id": "by_hand", "logical_date": date})
        with pytest.raises(AirflowRefusedError) as clash:
            stack.airflow("POST", runs, {"dag_run_id": ids[0], "logical_date": date})
        assert (clash.value.status, airflow.find(ONCE, ids[0])) == (409, None)
        for one in ids:
            airflow.start(ONCE, one, "a note")
        assert [found.dag_run_id for one in ids if (found := airflow.find(ONCE, one))] == ids
        with pytest.raises(AirflowRefusedError) as again:
            airflow.start(ONCE, ids[0], "a note")
        assert again.value.status == 409
    finally:  # the DAG is paused: all of them are queued
        for run in stack.airflow("GET", f"{runs}?limit=100")["dag_runs"]:
            stack.airflow("DELETE", f"{runs}/{run['dag_run_id']}")


def test_a_scheduled_run_of_the_same_second_gets_the_episode(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It begins between a courier's look and its request, so that Airflow has both. A courier that looks later requests
    nothing."""
    at_rest(stack)
    allow(stack, dag_id=ONCE, cooldown_seconds=0.0)
    start = Airflow.start

    def late(self: Airflow, dag_id: str, run: str, note: str) -> None:
        stack.start("airflow-scheduler")
        wait_until(lambda: dag_runs(stack, ONCE), "the schedule's run")
        start(self, dag_id, run, note)

    for part in ("courier", "airflow-scheduler"):
        stack.stop(part)
    try:
        pause(stack, ONCE, False)
        monkeypatch.setattr(Airflow, "start", late)
        requested = ticked(stack.ledger.store)
        monkeypatch.setattr(Airflow, "start", start)
        [scheduled, own] = dag_runs(stack, ONCE)
        assert (requested.adopted, requested.dag_run_id) == (True, scheduled)
        assert (scheduled[:11], own) == ("scheduled__", dag_run_id(MODEL, requested.number))
        other = open_store(tmp_path.as_uri())
        slots.change(other, MODEL, TurnedOn(replace(SETTINGS, dag_id=ONCE), "ann"))
        later = ticked(other)
        assert (later.adopted, later.dag_run_id, later.posted) == (True, scheduled, 0)
        assert dag_runs(stack, ONCE) == [scheduled, own]
    finally:
        stack.start("airflow-scheduler")
        stack.start("courier")
    found = judged(stack, requested.number)
    both = [DagRun(stack, name, stack.ledger.run(found.run_id), ONCE) for name in (scheduled, own)]
    for dag_run in both:
        dag_run.wait("success")
    assert both[0].states() == dict.fromkeys(TASKS, "success")
    assert both[1].states() == SKIPPED
    assert (both[0].run.record.dag_run_id, both[0].run.record.trigger) == (scheduled, "schedule")
    assert of_episode(stack, requested.number) == []


def courier_of(store: Store, model: str = MODEL) -> Driver:
    """A courier in this process, for which an alert on the model is firing."""
    fired = Fired("ServiceInputDrifted", "f1", time.time())
    return Driver(store, Airflow(), lambda: Requests({model: [fired]}), lambda before, after: None)


def ticked(store: Store, model: str = MODEL) -> RequestRecord:
    """The episode for which such a courier has found a run in Airflow."""
    courier = courier_of(store, model)

    def running() -> RequestRecord | None:
        courier.tick()
        return courier.slots[model].episode if courier.slots[model].state == "running" else None

    found = wait_until(running, "Airflow has a run")
    assert found
    return found


def test_airflow_that_is_away_and_then_loses_the_request_runs_it_once(stack: RunningStack) -> None:
    """It is stopped when the alert fires. Once it has the request, its database is restored to a moment before."""
    at_rest(stack)
    allow(stack, cooldown_seconds=0.0)
    number, budget = slot(stack).number + 1, budget_left(slot(stack), time.time())
    own, database = dag_run_id(MODEL, number), stack.settings.home / "airflow" / "airflow.db"
    for part in reversed(AIRFLOW):
        stack.stop(part)
    try:
        copy(database, database.with_name("before.db"))
        tell(stack, **FIRING[2])
        wait_until(lambda: stack.query(f'catwalk_retraining_waiting{{model="{MODEL}"}} == 1'), "it waits for Airflow")
        assert (slot(stack).state, slot(stack).number) == ("wanted", number)
        assert "does not answer" in slot(stack).waiting
        stack.start(AIRFLOW[0])
        wait_until(lambda: slot(stack).state == "running", "Airflow has the run, which no scheduler can start")
        assert requested_runs(stack, DAG).count(own) == 1
        stack.stop(AIRFLOW[0])
        copy(database.with_name("before.db"), database)
        stack.start(AIRFLOW[0])
        wait_until(lambda: requested_runs(stack, DAG).count(own) == 1, "Airflow is asked again")
    finally:
        control.up(stack.settings, AIRFLOW, say=lambda line: None)
    tell(stack, -1, **FIRING[2])
    found = judged(stack, number)
    assert (found.dag_run_id, found.adopted) == (own, False)
    dag_run_of(stack, found).wait("success")
    assert dag_run_of(stack, found).states() == dict.fromkeys(TASKS, "success")
    assert of_episode(stack, number) == [stack.ledger.run(found.run_id)]
    claim = claimed(stack.ledger.store, MODEL, number)
    assert claim and claim.run_id == found.run_id
    assert budget_left(slot(stack), time.time()) == budget - 1


def copy(source: Path, target: Path) -> None:
    """Copies a database of SQLite; what is in the target is lost."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def allow(stack: RunningStack, **changes: Any) -> None:
    slots.change(stack.ledger.store, MODEL, TurnedOn(replace(SETTINGS, **changes), "ann"))


def at_rest(stack: RunningStack) -> None:
    """Waits until the last episode is judged; what it shipped is in service, so that another alert is a new one."""
    wait_until(lambda: slot(stack).state in ("idle", "cooling") or in_service(slot(stack)), "the last episode is over")


def in_service(found: SlotRecord) -> bool:
    return bool(found.state == "watched" and found.episode and found.episode.serving)
