"""Retraining on request in the real stack: Alertmanager notifies the courier, and the courier asks Airflow, once."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from catwalk.clients import alertmanager
from catwalk.ledger.records.retraining import RequestRecord, RetrainingSettings, SlotRecord
from catwalk.ledger.runs import Run
from catwalk.retraining import slots
from catwalk.retraining.episodes import claimed
from catwalk.retraining.events import TurnedOn
from tests.conftest import RunningStack, wait_until
from tests.integration.conftest import EASY, DagRun, assert_all_stored, trigger
from tests.integration.test_dag import TASKS, pause

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MODEL, DAG = "shapes", "shapes_on_request"
SETTINGS = RetrainingSettings(dag_id=DAG, strikes=10, watch_predictions=0)
FIRING: list[dict[str, str]] = [{}, {"severity": "critical"}, {"again": "yes"}]
"""Labels that tell the alerts of these tests apart."""
VERDICTS = {"ship": "shipped", "hold": "held"}


@pytest.fixture(autouse=True)
def _allowed(stack: RunningStack) -> Iterator[None]:
    """Turns retraining on; at the end, no alert is firing."""
    slots.change(stack.ledger.store, MODEL, TurnedOn(SETTINGS, "ann"))
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


def of_episodes(stack: RunningStack) -> list[str]:
    """Ids of the runs that alerts requested from Airflow."""
    runs = stack.airflow("GET", f"dags/{DAG}/dagRuns?limit=100&order_by=id")["dag_runs"]
    return [run["dag_run_id"] for run in runs if run["dag_run_id"].startswith("catwalk__")]


def dag_run_of(stack: RunningStack, episode: RequestRecord) -> DagRun:
    return DagRun(stack, episode.dag_run_id, stack.ledger.run(episode.run_id), DAG)


def test_an_alert_is_one_run_that_says_who_has_asked_for_it(stack: RunningStack) -> None:
    told = tell(stack)
    tell(stack, **FIRING[1])  # another alert of the same fault
    wait_until(lambda: slot(stack).state == "running", "Airflow has the run")
    began = time.time()
    found = judged(stack, 1)
    print(f"alert → run in Airflow {began - told:.1f} s → judged {found.judged - told:.1f} s")
    assert of_episodes(stack) == ["catwalk__shapes__e1"] == [found.dag_run_id]
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
    assert again.states() == {**dict.fromkeys(TASKS, "skipped"), "publish": "success"}
    assert files(stack, found) == before
    assert [one for one in runs_of(stack) if one.record.episode == 1] == [Run(stack.ledger.store, found.run_id)]


def files(stack: RunningStack, found: RequestRecord) -> list[tuple[str, str]]:
    store = stack.ledger.store
    return [(entry.key, entry.etag) for entry in store.list(f"runs/{found.run_id}/")]


def runs_of(stack: RunningStack) -> list[Run]:
    """The model's runs that an alert requested."""
    from catwalk.ledger.summaries import Summaries

    found = [one.run_id for one in Summaries(stack.ledger.store).read() if (one.model, one.trigger) == (MODEL, "alert")]
    return [Run(stack.ledger.store, run_id) for run_id in found]


def test_a_paused_dag_is_refused_and_a_run_that_airflow_has_lost_is_asked_for_again(stack: RunningStack) -> None:
    """It is queued behind a manual run, and deleted as if Airflow's database was restored to before the request."""
    wait_until(lambda: slot(stack).state in ("idle", "cooling", "watched"), "the first episode is over")
    before = slot(stack).refusals.get("paused", 0)
    slots.change(stack.ledger.store, MODEL, TurnedOn(replace(SETTINGS, cooldown_seconds=0.0), "ann"))
    by_hand = trigger(stack, {**EASY, "rounds": 4, "pause": 2}, DAG)
    by_hand.attempt("train", 1)
    pause(stack, DAG, True)
    try:
        tell(stack, **FIRING[2])
        wait_until(lambda: slot(stack).refusals.get("paused", 0) == before + 1, "it is refused")
        assert of_episodes(stack) == ["catwalk__shapes__e1"]
    finally:
        pause(stack, DAG, False)
    wait_until(lambda: slot(stack).state == "running" and slot(stack).number == 2, "Airflow has the second run", 120)
    stack.airflow("DELETE", f"dags/{DAG}/dagRuns/catwalk__shapes__e2")
    found = judged(stack, 2)
    assert of_episodes(stack).count(found.dag_run_id) == 1, "another one may follow, because the alert is still firing"
    claim = claimed(stack.ledger.store, MODEL, 2)
    assert claim and claim.run_id == found.run_id
    dag_run_of(stack, found).wait("success")
    assert dag_run_of(stack, found).states() == dict.fromkeys(TASKS, "success")
