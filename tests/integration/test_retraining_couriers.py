"""Couriers that are killed at every step, or notified a thousand times, and the runs of a real Airflow in the end."""

from __future__ import annotations

import concurrent.futures
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from catwalk.clients.courier import told
from catwalk.ledger.records.retraining import RetrainingSettings
from catwalk.retraining import slots
from catwalk.retraining.events import Reset, TurnedOn
from catwalk.retraining.transitions import DENIED_SECONDS
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk_courier.retraining import driver
from catwalk_courier.retraining.airflow import Airflow
from stack.configuration.environment import client_environment
from tests.conftest import RunningStack, wait_until
from tests.integration.conftest import wait_for_dag
from tests.integration.test_dag import pause
from tests.integration.test_retraining import courier_of, requested_runs, tell, ticked
from tests.support.requesting import Requesting, shown
from tests.support.servers import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DAG = "empty"
"""Its runs end at once, and say nothing in the ledger: each counts as a retraining that failed."""
FAILED = "it ended in Airflow, and the ledger has no decision about it"
UNHELPED = "bookings"
"""A model that one retraining without success is enough for."""
KILLED_AT = """
import os, signal, sys
from catwalk.retraining import slots
from catwalk_courier.__main__ import main
from catwalk_courier.retraining.airflow import Airflow
left = int(sys.argv.pop(1))
def around(function):
    def killed(*arguments):
        for step in (lambda: None, lambda: function(*arguments)):
            found = step()
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return found
    return killed
slots.keep = around(slots.keep)
Airflow.start = around(Airflow.start)
sys.exit(main(sys.argv[1:]))
"""
"""The courier, killed before or after it stores a slot or requests a run. Its argument is the number of the place."""
PLACES = 12
"""Five slots are stored (wanted, about to ask, running, judged, refused in the cooldown), and the run is requested."""


@contextmanager
def requesting(stack: RunningStack, folder: Path, model: str) -> Iterator[Requesting]:
    """A model whose couriers request its retrainings from the stack's Airflow."""
    ours = client_environment(stack.settings)
    airflow = {name: ours[name] for name in ("CATWALK_AIRFLOW_URL", "CATWALK_AIRFLOW_PASSWORD")}
    made = Requesting(folder, airflow, model, DAG)
    try:
        yield made
    finally:
        made.stop()


def assert_asked_once(stack: RunningStack, world: Requesting) -> None:
    """Airflow has one run, of the first episode, and it was judged once."""
    slot = world.slot
    assert requested_runs(stack, DAG, world.model) == [f"catwalk__{world.model}__e1"]
    assert (slot.state, slot.number, slot.history, slot.strikes) == ("cooling", 1, [], 1)
    assert slot.episode and (slot.episode.verdict, slot.episode.reason) == ("failed", FAILED)


def test_a_retraining_that_does_not_help_opens_the_breaker(stack: RunningStack) -> None:
    """The last of these tests shows that a person is notified, because that takes a minute."""
    wait_for_dag(stack, DAG)
    store = stack.ledger.store
    slots.change(store, UNHELPED, TurnedOn(RetrainingSettings(dag_id=DAG, strikes=1), "ann"))
    tell(stack, model=UNHELPED)
    refused = f'catwalk_retraining_refusals_total{{model="{UNHELPED}", reason="breaker"}} == 1'
    wait_until(lambda: stack.query(refused), "the breaker refuses what is still firing")
    slot = slots.slot(store, UNHELPED)
    assert slot and (slot.state, slot.why) == ("breaker", "1 retraining did not help: the last one failed")
    assert requested_runs(stack, DAG, UNHELPED) == [f"catwalk__{UNHELPED}__e1"]


def test_killed_at_every_step_it_has_asked_once(stack: RunningStack, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda place: killed_at(stack, tmp_path / str(place), place), range(1, PLACES + 1)))


def killed_at(stack: RunningStack, folder: Path, place: int) -> None:
    with requesting(stack, folder, f"churn-{place}") as world:
        courier = world.courier("one", "-c", KILLED_AT, str(place))
        world.alertmanager.post(world.alert)
        assert courier.process.wait(PATIENCE) == -signal.SIGKILL, f"there is no place {place}"
        courier.start()
        wait_until(lambda: world.slot.refusals == {"cooldown": 1}, f"the end, after a kill at place {place}")
        assert_asked_once(stack, world)


def test_two_couriers_told_a_thousand_times_ask_for_one_run(stack: RunningStack, tmp_path: Path) -> None:
    with requesting(stack, tmp_path / "world", "churn") as world:
        world.alertmanager.post(world.alert)
        couriers = [world.courier("one"), world.courier("two")]
        told_of = world.notification()
        posts: list[Callable[[], tuple[int, str]]] = [lambda one=one: one.post(told_of) for one in couriers] * 500  # type: ignore[misc]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert {status for status, _ in pool.map(lambda post: post(), posts)} == {200}
        wait_until(lambda: world.slot.refusals == {"cooldown": 1}, "the judgement")
        assert_asked_once(stack, world)
        refused = 'catwalk_retraining_refusals_total{model="churn",reason="cooldown"} 1.0'
        for courier in couriers:
            wait_until(lambda one=courier: shown(one, "cooling") == 1, "the state is a series")  # type: ignore[misc]
            wait_until(lambda one=courier: refused in one.get("/metrics"), "the refusal is a series")  # type: ignore[misc]
            metrics = courier.get("/metrics")
            assert 'catwalk_retraining_budget_left{model="churn"} 2.0' in metrics
            assert 'catwalk_retraining_strikes{model="churn"} 1.0' in metrics
            assert 'catwalk_retraining_waiting{model="churn"} 0.0' in metrics


def turned_on(folder: Path, model: str, dag_id: str = DAG) -> Store:
    """A ledger in which a model's retraining on request is on."""
    store: Store = open_store(folder.as_uri())
    slots.change(store, model, TurnedOn(RetrainingSettings(dag_id=dag_id), "ann"))
    return store


def test_a_new_ledger_whose_first_number_airflow_knows_gets_the_next_one(stack: RunningStack, tmp_path: Path) -> None:
    Airflow().start(DAG, "catwalk__renewed__e1", "requested for a ledger that is gone")
    assert ticked(turned_on(tmp_path, "renewed"), "renewed").number == 2
    assert requested_runs(stack, DAG, "renewed") == ["catwalk__renewed__e1", "catwalk__renewed__e2"]


def test_a_dag_that_someone_pauses_before_the_request_gets_it_once_it_runs(stack: RunningStack, tmp_path: Path) -> None:
    store = turned_on(tmp_path, "halted")
    courier = courier_of(store, "halted")
    courier.tick()
    assert courier.slots["halted"].state == "wanted"
    pause(stack, DAG, True)
    try:
        courier.tick()
        slot = courier.slots["halted"]
        assert (slot.state, slot.refusals, requested_runs(stack, DAG, "halted")) == ("idle", {"paused": 1}, [])
    finally:
        pause(stack, DAG, False)
    ticked(store, "halted")
    assert requested_runs(stack, DAG, "halted") == ["catwalk__halted__e2"]


def test_a_dag_that_airflow_does_not_know_opens_the_breaker(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    courier = courier_of(turned_on(tmp_path, "misnamed", "nowhere"), "misnamed")
    for _ in range(3):
        courier.tick()
    slot = courier.slots["misnamed"]
    assert slot.state == "wanted" and slot.waiting.endswith("is there a DAG nowhere?")
    later = slot.waiting_since + DENIED_SECONDS + 1
    monkeypatch.setattr(driver, "time", SimpleNamespace(time=lambda: later, strftime=time.strftime, gmtime=time.gmtime))
    courier.tick()
    assert (courier.slots["misnamed"].state, courier.slots["misnamed"].why) == ("breaker", slot.waiting)


def test_a_person_is_told_of_the_open_breaker_and_closes_it(stack: RunningStack) -> None:
    store = stack.ledger.store
    breaker = {"alertname": "RetrainingBreakerOpen", "model": UNHELPED}

    def statuses() -> list[str]:
        known = told(stack.settings.url("courier"), 1_000)["notifications"]
        return [one["status"] for one in known if breaker.items() <= one["labels"].items()]

    try:
        wait_until(lambda: statuses() == ["firing"], "the breaker's alert")
        tell(stack, -1, model=UNHELPED)
        slots.change(store, UNHELPED, Reset("ann"))
        wait_until(lambda: statuses()[:1] == ["resolved"], "its end")
    finally:
        tell(stack, -1, model=UNHELPED)
        store.delete(slots.key(UNHELPED))
