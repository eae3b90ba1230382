"""Retraining on request with couriers as processes: killed at every step, two at once, with a thousand notifications,
and with a real Alertmanager."""

from __future__ import annotations

import concurrent.futures
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
from catwalk.notifications.receivers import EVERYBODY, Channels
from catwalk.retraining import slots
from catwalk.retraining.events import TurnedOn
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from tests.support.notifying import Alertmanager, CourierProcess, notification
from tests.support.servers import PATIENCE, wait_until
from tests.support.small_airflow import DAG, SmallAirflow, work

pytestmark = pytest.mark.integration

ID = "catwalk__churn__e1"
DRIFTED = {"alertname": "ServiceInputDrifted", "model": "churn", "retrain": "yes", "severity": "warning"}
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


class World:
    """A ledger and a small Airflow whose tasks run at once, and couriers for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ledger").mkdir()
        self.store: Store = open_store((folder / "ledger").as_uri())
        self.airflow = SmallAirflow(lambda run: work(self.store, "churn", run) and None)
        (folder / "alertmanager").mkdir()
        self.alertmanager = Alertmanager(folder / "alertmanager", {EVERYBODY: Channels()}, "http://127.0.0.1:1")
        self.couriers: list[CourierProcess] = []
        slots.change(self.store, "churn", TurnedOn(RetrainingSettings(dag_id=DAG), "ann"))

    def courier(self, name: str, *program: str, **environment: str) -> CourierProcess:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        settings = {"CATWALK_STORE": self.store.url, "CATWALK_RETRAINING_SECONDS": "0.2"}
        settings |= {"CATWALK_ALERTMANAGER_URL": self.alertmanager.url, **self.airflow.environment, **environment}
        courier = CourierProcess(home, *program, **settings)
        self.couriers.append(courier)
        return courier

    @property
    def slot(self) -> SlotRecord:
        found = slots.find(self.store, "churn")
        assert found
        return found[0]

    def judged(self) -> bool:
        return self.slot.state == "cooling"

    def asked_once(self) -> None:
        """One run, one episode, judged once."""
        slot = self.slot
        assert list(self.airflow.runs) == [ID]
        assert (slot.number, slot.history, slot.strikes) == (1, [], 1)
        assert slot.episode and slot.episode.verdict == "held"
        assert [entry.key for entry in self.store.list("episodes/")] == ["episodes/churn/1/claim"]

    def stop(self) -> None:
        for courier in self.couriers:
            if courier.process.poll() is None:
                courier.kill()
        self.alertmanager.stop()
        self.airflow.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.stop()


def drifted() -> dict[str, object]:
    labels = {name: value for name, value in DRIFTED.items() if name != "alertname"}
    return notification("ServiceInputDrifted", **labels)


def test_killed_at_every_step_it_has_asked_once(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda place: killed_at(tmp_path / str(place), place), range(1, PLACES + 1)))


def killed_at(folder: Path, place: int) -> None:
    folder.mkdir()
    world = World(folder)
    try:
        courier = world.courier("one", "-c", KILLED_AT, str(place))
        world.alertmanager.post(DRIFTED)
        assert courier.process.wait(PATIENCE) == -signal.SIGKILL, f"there is no place {place}"
        courier.start()
        wait_until(lambda: world.slot.refusals == {"cooldown": 1}, f"the end, after a kill at place {place}")
        world.asked_once()
    finally:
        world.stop()


def test_two_couriers_told_a_thousand_times_ask_for_one_run(world: World) -> None:
    world.alertmanager.post(DRIFTED)
    couriers = [world.courier("one"), world.courier("two")]
    posts: list[Callable[[], tuple[int, str]]] = [lambda one=one: one.post(drifted()) for one in couriers] * 500  # type: ignore[misc]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {status for status, _ in pool.map(lambda post: post(), posts)} == {200}
    wait_until(world.judged, "the judgement")
    world.asked_once()
    for courier in couriers:
        wait_until(lambda one=courier: shown(one, "cooling") == 1, "the state is a series")  # type: ignore[misc]
        metrics = courier.get("/metrics")
        assert 'catwalk_retraining_refusals_total{model="churn",reason="cooldown"} 1.0' in metrics
        assert 'catwalk_retraining_budget_left{model="churn"} 2.0' in metrics
        assert 'catwalk_retraining_strikes{model="churn"} 1.0' in metrics
        assert 'catwalk_retraining_waiting{model="churn"} 0.0' in metrics


def shown(courier: CourierProcess, state: str) -> float:
    """The series of a state."""
    name = f'catwalk_retraining_state{{model="churn",state="{state}"}} '
    return next(float(line[len(name) :]) for line in courier.get("/metrics").splitlines() if line.startswith(name))


def test_airflow_that_is_away_is_a_line_and_a_series(world: World) -> None:
    world.airflow.down = True
    world.alertmanager.post(DRIFTED)
    courier = world.courier("one")
    waiting = 'catwalk_retraining_waiting{model="churn"} 1.0'
    wait_until(lambda: waiting in courier.get("/metrics"), "it waits")
    assert shown(courier, "wanted") == 1
    seen = world.airflow.asked
    wait_until(lambda: world.airflow.asked > seen + 8, "it keeps asking")
    world.airflow.down = False
    wait_until(world.judged, "the judgement")
    assert courier.log.read_text().count("the retraining of churn waits") == 1
    world.asked_once()


def test_what_alertmanager_has_told_before_asks_for_nothing_while_it_does_not_answer(world: World) -> None:
    """It may have ended since, or be silenced."""
    courier = world.courier("one", CATWALK_ALERTMANAGER_URL="http://127.0.0.1:1")
    assert courier.post(drifted())[0] == 200
    wait_until(lambda: "retraining waits: Alertmanager" in courier.log.read_text(), "it logs what it waits for")
    courier.post(drifted())
    seen = courier.log.read_text()
    courier.kill()
    courier.start(CATWALK_ALERTMANAGER_URL=world.alertmanager.url)
    world.alertmanager.post(DRIFTED)
    wait_until(world.judged, "the judgement, once Alertmanager says that it is firing")
    assert "episode 1 of churn" not in seen
    world.asked_once()


def test_an_alertmanager_that_has_restarted_empty_withdraws_nothing(world: World) -> None:
    """Prometheus sends the alert again a while later."""
    world.airflow.down = True
    world.alertmanager.post(DRIFTED)
    world.courier("one")
    wait_until(lambda: world.slot.state == "wanted", "it is wanted")
    world.alertmanager.restart()
    assert not world.alertmanager.states()
    world.airflow.down = False
    wait_until(lambda: world.slot.waiting.startswith("Alertmanager started less than 900 s ago"), "it waits")
    assert (world.slot.state, world.airflow.posts) == ("wanted", [])
    world.alertmanager.post(DRIFTED)
    wait_until(world.judged, "the judgement")
    world.asked_once()


def test_alertmanager_has_the_last_word(world: World, tmp_path: Path) -> None:
    """A request holds only while Alertmanager has the alert."""
    world.airflow.down = True
    waiting = world.courier("one")
    folder = tmp_path / "telling"
    folder.mkdir()
    alertmanager = Alertmanager(folder, {EVERYBODY: Channels()}, waiting.url)
    try:
        waiting.kill()
        waiting.start(CATWALK_ALERTMANAGER_URL=alertmanager.url, CATWALK_RETRAINING_WARMUP_SECONDS="0.1")
        alertmanager.post(DRIFTED, {"alertname": "ServiceErrors", "model": "other", "severity": "critical"})
        wait_until(
            lambda: slots.find(world.store, "churn") is not None and world.slot.state == "wanted", "it is wanted"
        )
        alertmanager.post(DRIFTED, seconds=-60)
        world.airflow.down = False
        wait_until(lambda: world.slot.state == "idle", "it is withdrawn")
        assert (world.slot.refusals, world.airflow.posts) == ({"resolved_first": 1}, [])
        alertmanager.post(DRIFTED)
        wait_until(world.judged, "the judgement")
        assert world.airflow.posts == ["catwalk__churn__e2"]
        assert slots.find(world.store, "other") is None, "no alert requests it"
    finally:
        alertmanager.stop()
