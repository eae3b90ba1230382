"""Retraining on request with a courier as a process, and a real Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.notifications.receivers import EVERYBODY, Channels
from catwalk.retraining import slots
from tests.catwalk.clients.test_grafana import TOKEN, StandIn
from tests.support.notifying import Alertmanager
from tests.support.requesting import Requesting, shown
from tests.support.servers import wait_until
from tests.support.small_airflow import SmallAirflow, work

pytestmark = pytest.mark.integration

ID = "catwalk__churn__e1"


class World(Requesting):
    """The small Airflow's tasks run at once."""

    def __init__(self, folder: Path) -> None:
        self.airflow = SmallAirflow(lambda run: work(self.store, "churn", run) and None)
        super().__init__(folder, self.airflow.environment)

    def asked_once(self) -> None:
        """One run, one episode, judged once."""
        slot = self.slot
        assert list(self.airflow.runs) == [ID]
        assert (slot.number, slot.history, slot.strikes) == (1, [], 1)
        assert slot.episode and slot.episode.verdict == "held"
        assert [entry.key for entry in self.store.list("episodes/")] == ["episodes/churn/1/claim"]

    def stop(self) -> None:
        super().stop()
        self.airflow.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.stop()


def test_a_retraining_is_annotated_when_it_starts_and_over_its_whole_duration(world: World) -> None:
    grafana = StandIn()
    try:
        world.alertmanager.post(world.alert)
        world.courier("one", CATWALK_GRAFANA_URL=grafana.url, CATWALK_GRAFANA_TOKEN=TOKEN)
        wait_until(lambda: len(grafana.annotations) == 2, "both annotations")
    finally:
        grafana.listener.stop()
    began, whole = grafana.annotations
    slot = world.slot
    assert slot.episode
    assert began["tags"][:5] == ["catwalk", "Retraining", "firing", "churn", slot.episode.run_id]
    assert began["text"] == "<b>Retraining</b> churn: ServiceInputDrifted requested a retraining, episode 1"
    assert whole["text"] == f"{began['text']}: held"
    assert began["time"] == whole["time"] <= whole["timeEnd"]


def test_airflow_that_is_away_is_a_line_and_a_series(world: World) -> None:
    world.airflow.down = True
    world.alertmanager.post(world.alert)
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
    assert courier.post(world.notification())[0] == 200
    wait_until(lambda: "retraining waits: Alertmanager" in courier.log.read_text(), "it logs what it waits for")
    courier.post(world.notification())
    seen = courier.log.read_text()
    courier.kill()
    courier.start(CATWALK_ALERTMANAGER_URL=world.alertmanager.url)
    world.alertmanager.post(world.alert)
    wait_until(world.judged, "the judgement, once Alertmanager says that it is firing")
    assert "episode 1 of churn" not in seen
    world.asked_once()


def test_an_alertmanager_that_has_restarted_empty_withdraws_nothing(world: World) -> None:
    """Prometheus sends the alert again a while later."""
    world.airflow.down = True
    world.alertmanager.post(world.alert)
    world.courier("one")
    wait_until(lambda: world.slot.state == "wanted", "it is wanted")
    world.alertmanager.restart()
    assert not world.alertmanager.states()
    world.airflow.down = False
    wait_until(lambda: world.slot.waiting.startswith("Alertmanager started less than 900 s ago"), "it waits")
    assert (world.slot.state, world.airflow.posts) == ("wanted", [])
    world.alertmanager.post(world.alert)
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
        alertmanager.post(world.alert, {"alertname": "ServiceErrors", "model": "other", "severity": "critical"})
        wait_until(
            lambda: slots.find(world.store, "churn") is not None and world.slot.state == "wanted", "it is wanted"
        )
        alertmanager.post(world.alert, seconds=-60)
        world.airflow.down = False
        wait_until(lambda: world.slot.state == "idle", "it is withdrawn")
        assert (world.slot.refusals, world.airflow.posts) == ({"resolved_first": 1}, [])
        alertmanager.post(world.alert)
        wait_until(world.judged, "the judgement")
        assert world.airflow.posts == ["catwalk__churn__e2"]
        assert slots.find(world.store, "other") is None, "no alert requests it"
    finally:
        alertmanager.stop()
