"""The baseline that a version gets by itself: of which days, why it may get none, and who makes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from catwalk.clients.prometheus import PrometheusError
from catwalk.errors import ConfigError
from catwalk.ledger.records.reference import DeclinedRecord, ReferenceRecord
from catwalk.ledger.runs import Run
from catwalk.service import reference
from catwalk.service.baseline import recorded
from catwalk.service.baseline.accepted import accept
from catwalk.service.baseline.automatic import Outcome, decide
from catwalk.storage.opening import open_store
from catwalk.tracking.renaming import rename
from catwalk_courier.baselines import Baselines
from catwalk_courier.journal.store import GRAFANA, Store
from catwalk_courier.service import Settings
from stack.ports import free_port
from tests.catwalk.service.baseline.conftest import DAY, HOUR, NEW_NAME, World
from tests.support.notifying import CourierProcess
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_without")]

LONG = 34
"""Days, counted back: as long as Prometheus has recorded."""
FIRST = [*range(32, 5, -1), 3]
"""The first 28 full days from the 32nd on, counted back."""


def decided(world: World, model: str, later: float = 0.0) -> Outcome | None:
    return decide(open_store(world.store), model, world.midnight + 5 * HOUR + later)


def made(world: World, model: str) -> ReferenceRecord:
    outcome = decided(world, model)
    assert isinstance(outcome, ReferenceRecord), outcome
    return outcome


def declined(world: World, model: str, later: float = 0.0) -> DeclinedRecord:
    outcome = decided(world, model, later)
    assert isinstance(outcome, DeclinedRecord), outcome
    run = Run(open_store(world.store), outcome.run_id)
    assert reference.baseline_of(run) is None and reference.declined_of(run) == outcome
    return outcome


def test_the_first_full_days_become_the_baseline(world: World) -> None:
    world.promoted("churn", world.begin(32))
    record = made(world, "churn")
    assert record.days == [world.day(back) for back in FIRST], "days with a hole are skipped"
    assert (record.origin, record.by, {each.floor for each in record.features}) == ("service", "", {0.03})
    assert reference.in_service(world.run("churn")) == record
    for place, feature in enumerate(record.features):
        expected = world.days["churn"][feature.name].sum(1)[[LONG - back for back in FIRST]].sum(0)
        assert record.features[place].examples == expected.round().astype(int).tolist()


def test_it_is_decided_once(world: World) -> None:
    world.promoted("churn", world.begin(32))
    world.promoted("blind", world.begin(LONG))
    record, reason = made(world, "churn"), declined(world, "blind")
    assert decided(world, "churn", DAY) is None and decided(world, "blind", DAY) is None
    assert reference.baseline_of(world.run("churn")) == record
    assert reference.declined_of(world.run("blind")) == reason


def test_a_version_waits_for_the_day_after_its_days(world: World) -> None:
    world.promoted("blind", world.begin(30))
    assert decided(world, "blind") is None, "its 28th full day was yesterday, so an alert may be due"
    assert declined(world, "blind", DAY).days[-1] == world.day(1)


def test_a_version_without_days_waits(world: World) -> None:
    for model in ("young", "churn"):
        world.promoted(model, world.begin(LONG if model == "young" else 27))
        assert decided(world, model) is None
        assert not list(open_store(world.store).list(world.run(model).key("baseline")))
    world.promoted("churn", world.midnight + HOUR)
    assert decided(world, "churn") is None and decided(world, "absent") is None


def test_none_is_made_of_days_with_an_alert(world: World) -> None:
    world.promoted("blind", world.begin(LONG))
    found = declined(world, "blind")
    drifted = f"ServiceInputDrifted was firing on {world.day(20)}"
    assert (
        found.reason == f"{drifted}, ServicePredictionsShifted was firing on {world.day(19)} and 1 more of these days"
    )
    assert (found.days[0], found.days[-1], len(found.days)) == (world.day(LONG), world.day(7), 28)


def test_an_alert_of_the_day_after_and_one_that_requests_a_retraining_count(world: World) -> None:
    rename(open_store(world.store), "moved", NEW_NAME, "ada")
    world.promoted(NEW_NAME, world.begin(LONG))
    found = declined(world, NEW_NAME)
    assert found.reason == f"OddOrders was firing on {world.day(6)}" and found.days[-1] == world.day(7)


def test_an_alert_that_the_version_has_inherited_does_not_count(world: World) -> None:
    world.promoted("churn", world.begin(LONG) + 10 * HOUR)
    assert made(world, "churn").days == [world.day(back) for back in FIRST], "from the day after its end"


def test_an_alert_that_began_after_the_promotion_counts(world: World) -> None:
    world.promoted("churn", world.begin(LONG) + 7 * HOUR)
    assert declined(world, "churn").reason == f"ServiceInputDrifted was firing on {world.day(33)}"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("quiet", "makes 120 predictions on the median day, and a baseline needs 200"),
        ("rebinned", "other bins than its reference has: de of the input country is in the reference alone"),
    ],
)
def test_none_is_made_of_days_that_no_one_could_accept(
    world: World, command: Callable[..., Any], model: str, reason: str
) -> None:
    world.promoted(model, world.begin(LONG))
    assert reason in declined(world, model).reason
    shown = command("reference", "show", model).out
    assert f"no baseline was made automatically: version {world.runs[model]}" in shown and reason in shown


def test_show_says_what_was_made_and_why_not(world: World, command: Callable[..., Any]) -> None:
    world.promoted("churn", world.begin(32))
    world.promoted("blind", world.begin(LONG))
    before = command("reference", "show", "churn").out
    assert (
        "the courier makes a baseline from its first 28 full days in service; `catwalk reference accept churn`"
        in before
    )
    record, reason = made(world, "churn"), declined(world, "blind")
    assert f"{record.days[-1]}, made automatically on " in command("reference", "show", "churn").out
    why = command("reference", "show", "blind")
    span = f"28 days in service, {world.day(LONG)} to {world.day(7)}"
    assert f"no baseline was made automatically from its first {span}: {reason.reason}; once " in why.out
    assert "`catwalk reference accept blind` makes one from them (--days 7: from the last 7)" in why.out
    assert command("reference", "show", "blind", "--json").json()["declined"]["reason"] == reason.reason
    assert command("reference", "show", "churn", "--json").json()["declined"] is None


def test_what_a_person_accepts_takes_its_place(world: World, command: Callable[..., Any]) -> None:
    world.promoted("churn", world.begin(32))
    made(world, "churn")
    done = command("reference", "accept", "churn", "--days", "7")
    assert done.code == 0 and "replaces the baseline that was made automatically on" in done.out
    assert decided(world, "churn") is None and reference.in_service(world.run("churn")).by == "ada"


def test_nothing_is_decided_once_a_person_has_accepted_days(world: World) -> None:
    world.promoted("blind", world.begin(LONG))
    accept(world.run("blind"), 7, 0.03, "ada", world.midnight)
    assert decided(world, "blind") is None and reference.declined_of(world.run("blind")) is None


def test_a_person_wins_over_one_that_is_made_at_the_same_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promoted("churn", world.begin(32))
    latest, first = recorded.latest, recorded.first

    def then_automatically(*given: Any) -> recorded.Recorded:
        made(world, "churn")
        return latest(*given)

    def then_accepted(*given: Any) -> recorded.Recorded | None:
        accept(world.run("churn"), 7, 0.03, "grace", world.midnight)
        return first(*given)

    monkeypatch.setattr(recorded, "latest", then_automatically)
    accepted = accept(world.run("churn"), 7, 0.03, "ada", world.midnight)
    assert accepted.replaced and not accepted.replaced.by
    assert reference.in_service(world.run("churn")).by == "ada"
    monkeypatch.setattr(recorded, "latest", latest)
    monkeypatch.setattr(recorded, "first", then_accepted)
    open_store(world.store).delete(world.run("churn").key("baseline.json"))
    assert decided(world, "churn") is None
    assert reference.in_service(world.run("churn")).by == "grace"


@pytest.fixture
def nonsense() -> Iterator[str]:
    """The address of a server that is no Prometheus."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "success", "data": null}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_courier_waits_for_prometheus_and_goes_on(
    world: World, nonsense: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "catwalk.courier")
    journal, store = Store(tmp_path / "courier.db"), open_store(world.store)
    looking = Baselines(journal, store, annotates=True)
    for model, since in (("churn", 32), ("blind", LONG)):
        world.promoted(model, world.begin(since))
    for url, said in ((f"http://127.0.0.1:{free_port()}", "does not answer"), (nonsense, "not answer like Prometheus")):
        monkeypatch.setenv("CATWALK_PROMETHEUS_URL", url)
        with pytest.raises(PrometheusError, match=said):
            decided(world, "churn")
        caplog.clear()
        looking.look()
        looking.look()
        assert [record.message.count(said) for record in caplog.records] == [1], caplog.text
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", world.url)
    store.put("champions/broken.json", b"{")
    caplog.clear()
    looking.look()
    store.delete("champions/broken.json")
    assert f"version {world.runs['churn']} of churn has a service baseline now" in caplog.text
    assert f"version {world.runs['blind']} of blind gets no service baseline automatically" in caplog.text
    assert "champions/broken.json is damaged" in caplog.text
    assert journal.pending()[GRAFANA] == 1


def test_of_two_couriers_one_makes_it_and_none_that_is_told_not_to(world: World, tmp_path: Path) -> None:
    world.promoted("churn", world.begin(32))
    settings = {"CATWALK_STORE": world.store, "CATWALK_PROMETHEUS_URL": world.url}

    def courier(name: str, **more: str) -> CourierProcess:
        (tmp_path / name).mkdir()
        return CourierProcess(tmp_path / name, **settings, **more)

    with ExitStack() as stack:
        off = courier("off", CATWALK_AUTOMATIC_BASELINE="off")
        stack.callback(off.kill)
        with ThreadPoolExecutor() as pool:
            both = list(pool.map(courier, ("one", "two")))
        for one in both:
            stack.callback(one.kill)
        wait_until(lambda: reference.baseline_of(world.run("churn")) is not None, "the baseline")
        said = "has a service baseline now, made automatically of its first 28 full days"
        wait_until(lambda: any(said in one.log.read_text() for one in both), "a line about it")
        assert "service baseline" not in off.log.read_text()
    assert sum(one.log.read_text().count(said) for one in both) == 1


def test_the_switch_says_what_it_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
    monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", "secret")
    for text, expected in (("", True), ("on", True), ("off", False)):
        monkeypatch.setenv("CATWALK_AUTOMATIC_BASELINE", text)
        assert Settings.from_environment().baselines is expected
    monkeypatch.setenv("CATWALK_AUTOMATIC_BASELINE", "no")
    with pytest.raises(ConfigError, match="CATWALK_AUTOMATIC_BASELINE must be on or off, not 'no'"):
        Settings.from_environment()
