"""Retraining on request, step by step: the courier's requests to Airflow, and how it handles the answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from catwalk.clients import airflow_api
from catwalk.clients.alertmanager import AlertmanagerError
from catwalk.codec import to_json
from catwalk.errors import PreconditionFailedError, StoreError
from catwalk.ledger.models import realised
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import summary_key
from catwalk.ledger.summaries import STALLED_SECONDS
from catwalk.retraining import slots
from catwalk.retraining.events import Fired, Reset, TurnedOff, TurnedOn
from catwalk.retraining.transitions import ASKING_SECONDS, DENIED_SECONDS, WATCHED_SECONDS
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk_courier.retraining import driver, evidence
from catwalk_courier.retraining.airflow import Airflow
from catwalk_courier.retraining.driver import Driver
from catwalk_courier.retraining.requests import Requests
from stack.ports import free_port
from tests.support.small_airflow import DAG, SmallAirflow, work

HOUR, DAY = 3_600.0, 86_400.0
ID = "catwalk__churn__e1"
SETTINGS = RetrainingSettings(dag_id=DAG)


class World:
    """A ledger, an Airflow, an alert, a clock, and one courier or more."""

    def __init__(self, folder: Path, airflow: SmallAirflow) -> None:
        self.store: Store = open_store(folder.as_uri())
        self.airflow, self.now = airflow, time.time()
        self.began = self.now - 60
        self.firing, self.heard, self.new = True, True, False
        self.others: list[str] = []
        """Other models that it is firing for."""
        self.predictions = 5_000.0
        """Predictions of the last shipped version."""
        self.lines: list[str] = []
        self.courier = self.another()
        slots.change(self.store, "churn", TurnedOn(SETTINGS, "ann"))

    def another(self) -> Driver:
        """A courier that has just started."""
        return Driver(self.store, Airflow(), self.requests, self._tell)

    def _tell(self, before: SlotRecord, after: SlotRecord) -> None:
        if after.waiting and after.waiting != before.waiting:
            self.lines.append(after.waiting)

    def requests(self) -> Requests:
        if not self.heard:
            return Requests(
                error=AlertmanagerError("Alertmanager does not answer"), unsure="Alertmanager does not answer"
            )
        fired = [Fired("ServiceInputDrifted", "f1", self.began)] if self.firing else []
        unsure = "Alertmanager has just started" if self.new else ""
        others = {model: [Fired("ServiceInputDrifted", model, self.began)] for model in self.others}
        return Requests({**({"churn": fired} if fired else {}), **others}, unsure=unsure)

    def ticks(self, number: int = 8) -> SlotRecord:
        """The slot after a number of the courier's looks."""
        for _ in range(number):
            with suppress(AlertmanagerError):
                self.courier.tick()
        return self.slot

    @property
    def slot(self) -> SlotRecord:
        found = slots.find(self.store, "churn")
        assert found
        return found[0]

    def work(self, decision: str = "hold", dag_run_id: str = ID) -> bool:
        return work(self.store, "churn", self.airflow.runs[dag_run_id], decision)

    def later(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallAirflow]:
    monkeypatch.setattr(airflow_api, "_PAUSES", ())
    found = SmallAirflow()
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    found.stop()


@pytest.fixture
def world(tmp_path: Path, airflow: SmallAirflow, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, airflow)
    clock = SimpleNamespace(time=lambda: made.now, strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(driver, "time", clock)
    monkeypatch.setattr(evidence, "predictions", lambda *_: made.predictions)
    return made


def test_an_alert_has_one_run_which_is_followed_and_judged(world: World) -> None:
    slot = world.ticks()
    assert (slot.state, world.airflow.posts) == ("running", [ID])
    assert world.work("hold")
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.verdict, slot.strikes) == ("cooling", "held", 1)
    world.ticks(50)
    assert world.airflow.posts == [ID]


def test_what_ships_is_watched_and_then_clears_the_strikes(world: World) -> None:
    world.ticks()
    world.work("ship")
    assert world.ticks().state == "watched"
    world.firing = False
    world.later(SETTINGS.watch_seconds)
    slot = world.ticks()
    assert (slot.state, slot.strikes) == ("cooling", 0)
    world.later(DAY)
    assert world.ticks().state == "idle"


def test_what_ships_is_watched_from_its_first_predictions_on(world: World) -> None:
    """A late server, and an alert that fires again in the meantime, are not the retraining's fault."""
    world.predictions = 0.0
    world.ticks()
    world.work("ship")
    world.later(HOUR)
    world.began = world.now  # Prometheus restarted
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.strikes) == ("watched", 0)
    assert slot.waiting == f"the first prediction of {slot.episode.run_id}"
    world.later(40 * HOUR)
    world.predictions = 5_000.0
    assert world.ticks().waiting == ""
    world.later(SETTINGS.watch_seconds - HOUR)
    assert world.ticks().state == "watched"
    world.firing = False
    world.later(HOUR)
    assert (world.ticks().state, world.slot.strikes) == ("cooling", 0)


def test_what_fires_again_once_it_is_in_service_is_a_strike(world: World) -> None:
    world.ticks()
    world.work("ship")
    world.ticks()
    world.later(HOUR)
    world.began = world.now
    assert (world.ticks().state, world.slot.strikes) == ("cooling", 1)


def test_what_ships_and_is_replaced_is_watched_no_more(world: World) -> None:
    world.ticks()
    world.work("ship")
    world.ticks()
    by_hand = ChampionRecord("churn", "20261124T030000Z-7f3a90c1", "m", 1.0, "", "", "ann", "")
    world.store.put_record("champions/churn.json", by_hand)
    assert (world.ticks().state, world.slot.strikes) == ("cooling", 0)


def test_what_ships_and_is_never_asked_is_watched_no_more_in_the_end(world: World) -> None:
    world.predictions = 0.0
    world.ticks()
    world.work("ship")
    world.ticks()
    world.later(SETTINGS.watch_seconds + WATCHED_SECONDS + 1)
    assert (world.ticks().state, world.slot.strikes) == ("cooling", 0)


def test_two_that_do_not_help_open_the_breaker_until_it_is_reset(world: World) -> None:
    for number in (1, 2):
        world.ticks()
        world.work("hold" if number == 1 else "", f"catwalk__churn__e{number}")
        world.ticks()
        world.later(DAY)
    slot = world.ticks()
    assert (slot.state, slot.refusals) == ("breaker", {"cooldown": 1, "breaker": 1})
    assert slot.episode and slot.episode.reason == "train was killed"
    world.later(30 * DAY)
    assert world.ticks().state == "breaker"
    slots.change(world.store, "churn", Reset("ann"))
    assert world.ticks().number == 3


def test_couriers_that_look_at_once_ask_for_one_run(world: World) -> None:
    others = [world.another() for _ in range(3)]
    for _ in range(6):
        for courier in (world.courier, *others):
            courier.tick()
    assert list(world.airflow.runs) == [ID]
    assert (world.slot.state, world.slot.number) == ("running", 1)


def test_between_keeping_and_asking_another_courier_asks_for_the_same_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, start = world.another(), Airflow.start

    def late(self: Airflow, dag_id: str, dag_run_id: str, note: str) -> None:
        """The other courier looks before the first has asked."""
        monkeypatch.setattr(Airflow, "start", start)
        for _ in range(3):
            other.tick()
        start(self, dag_id, dag_run_id, note)

    monkeypatch.setattr(Airflow, "start", late)
    assert world.ticks().state == "running"
    assert (world.airflow.posts, list(world.airflow.runs)) == ([ID, ID], [ID])


def test_airflow_down_for_an_hour_is_waited_for_and_said_once(world: World) -> None:
    world.airflow.down = True
    for _ in range(240):
        world.later(15)
        world.courier.tick()
    assert world.slot.state == "wanted"
    [line] = world.lines
    assert line.startswith("Airflow at ") and world.slot.waiting == line
    world.airflow.down = False
    slot = world.ticks()
    assert (slot.state, slot.waiting, list(world.airflow.runs)) == ("running", "", [ID])


def test_no_airflow_at_all_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_AIRFLOW_URL", f"http://127.0.0.1:{free_port()}")
    assert world.ticks().state == "wanted"
    monkeypatch.delenv("CATWALK_AIRFLOW_URL")
    world.courier = world.another()
    assert world.ticks().waiting.startswith("Airflow is not configured; set CATWALK_AIRFLOW_URL")


def test_an_answer_that_gets_lost_is_no_second_run(world: World) -> None:
    world.airflow.loses_answers = True
    assert world.ticks().state == "running"
    assert list(world.airflow.runs) == [ID]


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_request_that_may_do_better_is_made_again(world: World, status: int) -> None:
    world.airflow.answers = [status, status]
    assert world.ticks().state == "running"
    assert world.airflow.posts == [ID] * 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_request_that_airflow_refuses_for_a_moment_is_made_again(world: World, status: int) -> None:
    """As during a deployment."""
    world.airflow.answers = [status, status]
    assert world.ticks().state == "running"
    assert world.airflow.posts == [ID] * 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_request_that_airflow_goes_on_refusing_opens_the_breaker(world: World, status: int) -> None:
    world.airflow.answers = [status] * 100
    assert world.ticks().state == "wanted"
    [line] = world.lines
    assert f"with {status} (it has import errors)" in line
    world.later(DENIED_SECONDS + 1)
    slot = world.ticks()
    assert (slot.state, slot.why) == ("breaker", line)


def test_a_dag_that_is_not_there_opens_the_breaker_once_airflow_had_time_to_find_it(world: World) -> None:
    world.airflow.has_dag = False
    slot = world.ticks()
    assert (slot.state, slot.waiting.rpartition("; ")[2]) == ("wanted", f"is there a DAG {DAG}?")
    world.later(301)
    assert world.ticks().state == "breaker"


def test_a_database_restored_to_before_the_request_is_asked_again_for_the_same_id(world: World) -> None:
    world.ticks()
    world.airflow.runs.clear()
    assert world.ticks().state == "running"
    assert (world.airflow.posts, list(world.airflow.runs)) == ([ID, ID], [ID])


def test_an_airflow_that_remembers_more_than_the_ledger_gets_the_next_number(world: World) -> None:
    """The ledger was restored, or started from scratch: the run with the first number is an old one."""
    for number in (1, 2):
        world.airflow.arrives(f"catwalk__churn__e{number}")
        world.airflow.runs[f"catwalk__churn__e{number}"]["state"] = "success"
    slot = world.ticks()
    assert (slot.state, slot.number, slot.strikes) == ("running", 3, 0)
    assert world.airflow.posts == ["catwalk__churn__e3"]


def test_a_run_that_had_begun_before_the_restore_is_followed_in_the_ledger(world: World) -> None:
    world.ticks()
    before = dict(world.airflow.runs[ID])
    world.work("ship")
    world.airflow.runs.clear()
    assert world.ticks().state == "watched"
    assert world.airflow.posts == [ID]
    later = {**before, "run_after": "2099-01-01T00:00:00+00:00"}
    assert not work(world.store, "churn", later), "the first task of any run that Airflow starts by that id is skipped"


def test_a_run_that_is_at_work_while_airflow_has_lost_it_is_not_asked_for_again(world: World) -> None:
    world.ticks()
    world.work("")
    [entry] = list(world.store.list("summaries/"))
    found, etag = world.store.get_record(SummaryRecord, entry.key)
    at_work = replace(found, state="running", finished=None, updated=world.now)
    world.store.put_record(entry.key, at_work, if_match=etag)
    world.airflow.runs.clear()
    world.later(STALLED_SECONDS)
    assert (world.ticks().state, world.airflow.posts) == ("running", [ID])
    world.later(1)
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.verdict) == ("cooling", "failed")
    assert slot.episode.reason == "Airflow has lost the run, and the ledger has not heard from it since"
    assert world.airflow.posts == [ID]


def test_a_paused_dag_is_refused_and_asked_again_once_it_runs(world: World) -> None:
    world.airflow.paused = True
    slot = world.ticks(20)
    assert (slot.state, slot.number, slot.refusals) == ("idle", 0, {"paused": 1})
    world.airflow.paused = False
    assert world.ticks().state == "running"


def test_a_dag_that_is_paused_meanwhile_is_refused(world: World) -> None:
    world.courier.tick()
    world.airflow.paused = True
    slot = world.ticks()
    assert (slot.state, slot.refusals, world.airflow.posts) == ("idle", {"paused": 1}, [])


def test_a_dag_that_is_paused_while_its_run_is_queued_is_what_is_waited_for(world: World) -> None:
    world.ticks()
    world.airflow.paused = True
    slot = world.ticks()
    assert (slot.state, slot.waiting) == ("running", f"the DAG {DAG}, which is paused")
    world.airflow.paused = False
    assert world.ticks().waiting == ""


def test_a_scheduled_run_in_the_same_second_is_adopted(world: World) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(world.began))
    world.airflow.schedule(day, "queued")
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.adopted) == ("running", True)
    assert world.airflow.posts == []
    assert world.work("ship", f"scheduled__{day}")
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.verdict) == ("watched", "shipped")


def test_a_scheduled_run_that_begins_between_look_and_request_is_adopted_and_the_other_is_skipped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, start = time.strftime("%Y-%m-%d", time.gmtime(world.began)), Airflow.start

    def late(self: Airflow, dag_id: str, dag_run_id: str, note: str) -> None:
        world.airflow.schedule(day)
        start(self, dag_id, dag_run_id, note)

    monkeypatch.setattr(Airflow, "start", late)
    slot = world.ticks()
    assert list(world.airflow.runs) == [f"scheduled__{day}", ID], "Airflow has both"
    assert slot.episode and (slot.state, slot.episode.adopted) == ("running", True)
    assert slot.episode.dag_run_id == f"scheduled__{day}"
    assert not world.work("ship"), "its first task is skipped"
    assert world.work("ship", f"scheduled__{day}")
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.verdict, slot.number) == ("watched", "shipped", 1)


def test_a_scheduled_run_that_begins_once_the_requested_one_is_at_work_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, start = time.strftime("%Y-%m-%d", time.gmtime(world.began)), Airflow.start

    def early(self: Airflow, dag_id: str, dag_run_id: str, note: str) -> None:
        start(self, dag_id, dag_run_id, note)
        assert world.work("hold")
        world.airflow.schedule(day)

    monkeypatch.setattr(Airflow, "start", early)
    slot = world.ticks(3)
    assert slot.episode and (slot.episode.dag_run_id, slot.episode.adopted) == (ID, False)


def test_a_courier_that_is_killed_after_it_gave_the_episode_to_a_scheduled_run_follows_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduled run has ended when another courier looks."""
    day = time.strftime("%Y-%m-%d", time.gmtime(world.began))
    world.ticks(2)
    world.airflow.schedule(day)
    keep = slots.keep

    def killed(store: Store, slot: SlotRecord, etag: str | None) -> str:
        raise StoreError("killed")

    monkeypatch.setattr(slots, "keep", killed)
    with pytest.raises(StoreError, match="killed"):
        world.courier.tick()
    monkeypatch.setattr(slots, "keep", keep)
    world.work("ship", f"scheduled__{day}")
    assert not world.work("ship")
    world.courier = world.another()
    slot = world.ticks()
    assert slot.episode and (slot.state, slot.episode.verdict) == ("watched", "shipped")


def test_a_scheduled_run_whose_tasks_log_by_themselves_is_found_once_it_has_ended(world: World) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(world.began))
    world.airflow.schedule(day)
    world.ticks()
    world.work("ship", f"scheduled__{day}")
    [entry] = list(world.store.list("summaries/"))
    found = world.store.get_record(SummaryRecord, entry.key)[0]
    world.store.delete(entry.key)
    logged = replace(found, run_id="20261123T030000Z-7f3a90c1")
    world.store.put_record(summary_key(logged.run_id), logged)
    slot = world.ticks()
    assert slot.episode and (slot.episode.verdict, slot.episode.run_id) == ("shipped", logged.run_id)


def test_a_scheduled_run_of_the_day_before_is_not_adopted(world: World) -> None:
    world.airflow.schedule(time.strftime("%Y-%m-%d", time.gmtime(world.began - DAY)))
    world.ticks()
    assert world.airflow.posts == [ID]


def test_an_alert_that_ends_before_airflow_is_asked_is_withdrawn(world: World) -> None:
    world.courier.tick()
    world.firing = False
    slot = world.ticks()
    assert (slot.state, slot.refusals, world.airflow.posts) == ("idle", {"resolved_first": 1}, [])


def test_where_nobody_knows_whether_it_fires_it_is_waited_for(world: World) -> None:
    world.courier.tick()
    world.heard = False
    slot = world.ticks()
    assert (slot.state, slot.waiting) == ("wanted", "Alertmanager does not answer")
    assert world.airflow.posts == [], "it may be silenced by now"
    world.heard = True
    slot = world.ticks()
    assert (slot.state, slot.waiting) == ("running", "")


def test_an_alertmanager_that_has_just_started_is_believed_in_what_fires_and_not_in_what_has_ended(
    world: World,
) -> None:
    world.courier.tick()
    world.firing, world.new = False, True
    slot = world.ticks()
    assert (slot.state, slot.waiting, world.airflow.posts) == ("wanted", "Alertmanager has just started", [])
    world.firing = True
    assert world.ticks().state == "running"
    world.work("ship")
    world.ticks()
    world.firing = False
    world.later(SETTINGS.watch_seconds)
    assert world.ticks().state == "watched", "it may still be firing"
    world.new = False
    assert world.ticks().state == "cooling"


def test_a_run_is_judged_while_alertmanager_does_not_answer(world: World) -> None:
    world.ticks()
    world.heard = False
    world.work("hold")
    with pytest.raises(AlertmanagerError):
        world.courier.tick()
    assert world.slot.state == "cooling"


def test_an_alert_that_ends_while_a_request_is_on_its_way_keeps_its_run(world: World) -> None:
    world.airflow.answers = [500]
    world.courier.tick()
    world.courier.tick()
    world.firing = False
    assert world.ticks().state == "wanted"
    world.airflow.arrives(ID)
    assert world.ticks().state == "running"
    assert world.airflow.posts == [ID], "a request that no longer holds is not repeated"


def test_and_one_that_never_came_to_pass_is_withdrawn_in_the_end(world: World) -> None:
    world.airflow.answers = [500]
    world.courier.tick()
    world.courier.tick()
    world.firing = False
    world.later(ASKING_SECONDS)
    slot = world.ticks()
    assert (slot.state, slot.refusals, world.airflow.runs) == ("idle", {"resolved_first": 1}, {})


def test_turned_off_nothing_is_asked_for(world: World) -> None:
    world.courier.tick()
    slots.change(world.store, "churn", TurnedOff("ann"))
    slot = world.ticks()
    assert (slot.state, slot.refusals, world.airflow.posts) == ("idle", {"off": 1}, [])


def test_a_model_that_nobody_has_turned_on_is_refused_once(world: World) -> None:
    world.store.delete(slots.key("churn"))
    slot = world.ticks(50)
    assert (slot.state, slot.refusals, world.airflow.posts) == ("idle", {"off": 1}, [])


def test_todays_data_has_been_learnt_from_until_tomorrow(world: World) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime(world.now))
    champion = ChampionRecord("churn", "20261123T030000Z-7f3a90c1", "m", 1.0, "", "", "gate", "")
    world.store.put_record("champions/churn.json", champion)
    summary = SummaryRecord(
        run_id=champion.run_id, model="churn", trigger="schedule", synthetic=False, dag_id="", dag_run_id="",
        git_commit="", seed=1, parameters={}, state="succeeded", started=1.0, updated=2.0, as_of=today,
    )  # fmt: skip
    world.store.put_record(summary_key(champion.run_id), summary)
    slot = world.ticks(20)
    assert (slot.refusals, world.airflow.posts) == ({"no_newer_data": 1}, [])
    world.store.put_record(summary_key(champion.run_id), replace(summary, as_of="2026-01-01"))
    assert world.ticks().state == "running"


def test_without_a_label_since_the_alert_began_it_waits_for_one(world: World) -> None:
    def labelled(received: float | None) -> None:
        world.store.delete(realised.key("churn"))
        world.store.put_record(
            realised.key("churn"), RealisedRecord("churn", "accuracy", "maximize", [], {}, {}, received, world.now)
        )

    labelled(world.began - 1)
    slot = world.ticks(20)
    assert (slot.state, slot.refusals, world.airflow.posts) == ("idle", {"no_labels_since_onset": 1}, [])
    labelled(world.began)
    assert world.ticks().state == "running"


@pytest.mark.parametrize("record", [b"{", None])
def test_where_no_label_ever_came_to_the_ledger_the_retraining_begins(world: World, record: bytes | None) -> None:
    if record:
        world.store.put(realised.key("churn"), record)
    assert world.ticks().state == "running"


@pytest.mark.parametrize("damaged", ["champions/churn.json", summary_key("20261123T030000Z-7f3a90c1")])
def test_of_a_champion_that_can_not_be_read_the_gate_decides(world: World, damaged: str) -> None:
    champion = ChampionRecord("churn", "20261123T030000Z-7f3a90c1", "m", 1.0, "", "", "gate", "")
    world.store.put_record("champions/churn.json", champion)
    world.store.put(damaged, b"{")
    assert world.ticks().state == "running"


def test_a_slot_with_a_word_of_a_newer_version_costs_its_own_model_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    newer = to_json(SlotRecord("other", SETTINGS, "idle")).replace(b'"idle"', b'"paused"')
    world.store.put("retraining/other.json", newer)
    with caplog.at_level(logging.ERROR):
        assert world.ticks().state == "running"
    [line] = caplog.messages
    assert "state has a value of the wrong type; did a newer courier write it?" in line


def test_a_ledger_that_does_not_answer_for_one_model_costs_that_model_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = slots.keep

    def denied(store: Store, slot: SlotRecord, etag: str | None) -> str:
        if slot.model == "bookings":
            raise StoreError("AccessDenied: retraining/bookings.json")
        return keep(store, slot, etag)

    slots.change(world.store, "bookings", TurnedOn(SETTINGS, "ann"))
    monkeypatch.setattr(slots, "keep", denied)
    world.others = ["bookings", "zebra"]
    for _ in range(8):
        with pytest.raises(StoreError, match="AccessDenied"):
            world.courier.tick()
    assert world.slot.state == "running"
    assert slots.slot(world.store, "zebra"), "its alert was refused, because it was never turned on"


def test_a_store_that_never_swaps_is_said_once_and_not_asked_without_a_pause(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict(store: Store, slot: SlotRecord, etag: str | None) -> str:
        raise PreconditionFailedError("the ETag is another")

    keep = slots.keep
    monkeypatch.setattr(slots, "keep", conflict)
    with caplog.at_level(logging.ERROR):
        assert [world.courier.tick() for _ in range(20)] == [True] * 9 + [False] * 11
    [line] = caplog.messages
    assert "retraining/churn.json changes whenever it is read" in line
    monkeypatch.setattr(slots, "keep", keep)
    assert world.ticks().state == "running"


def test_a_damaged_slot_costs_its_own_model_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.store.put("retraining/other.json", b"{")
    with caplog.at_level(logging.ERROR):
        assert world.ticks().state == "running"
    [line] = caplog.messages
    assert line.startswith("no alert can retrain other: ")
