"""When the Watchdog's silence leads to a callout: the rules, without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from catwalk_courier.deadman import DeadMan, Event, Limits, State, Watch, heard, listened
from catwalk_courier.journal.store import Store

LIMITS = Limits(silence_seconds=60, grace_seconds=300)
NOW = 1_800_000_000.0


def after(watch: Watch, seconds: float, step: float = 1.0) -> tuple[Watch, list[Event]]:
    """The watch after a time of silence, and everything that came of it."""
    events = []
    for _ in range(round(seconds / step)):
        watch, event = listened(watch, step, NOW, LIMITS)
        events += [event] if event else []
    return watch, events


def test_never_heard_is_called_out_once_after_the_grace_period() -> None:
    watch, events = after(Watch(), 299)
    assert (watch.state(NOW, LIMITS), events) == ("waiting", [])
    watch, events = after(watch, 600)
    assert (watch.state(NOW, LIMITS), events) == ("silent", ["silent"])


def test_silence_is_called_out_once_and_its_end_too() -> None:
    watch, event = heard(Watch(), NOW)
    assert event is None
    watch, events = after(watch, 59)
    assert (watch.state(NOW, LIMITS), events) == ("well", [])
    watch, events = after(watch, 600)
    assert (watch.state(NOW, LIMITS), events) == ("silent", ["silent"])
    watch, event = heard(watch, NOW)
    assert (watch.state(NOW, LIMITS), event) == ("well", "recovered")
    _, event = heard(watch, NOW)
    assert event is None


def test_a_second_silence_is_called_out_again() -> None:
    watch, _ = heard(after(heard(Watch(), NOW)[0], 100)[0], NOW)
    assert after(watch, 100)[1] == ["silent"]


def test_a_planned_stop_is_silent_and_a_new_grace_period_follows() -> None:
    watch = Watch(heard=NOW, planned_until=NOW + 100)
    watch, events = after(watch, 1_000)
    assert (watch.state(NOW, LIMITS), events) == ("planned", [])
    later = NOW + 101
    assert watch.state(later, LIMITS) == "waiting"
    for _ in range(299):
        watch, event = listened(watch, 1.0, later, LIMITS)
        assert event is None
    assert listened(watch, 1.0, later, LIMITS)[1] == "silent"


def test_a_clock_that_is_set_back_ends_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deadman = DeadMan(Store(tmp_path / "courier.db"), LIMITS, lambda event, watch: {})
    monkeypatch.setattr("time.time", lambda: NOW)
    deadman.plan(600)
    assert deadman.watch.state(NOW + 599, LIMITS) == "planned"
    assert deadman.watch.state(NOW + 600, LIMITS) == "waiting"
    assert deadman.watch.state(NOW - 86_400, LIMITS) == "waiting"
    watch, event = listened(deadman.watch, 300.0, NOW - 86_400, LIMITS)
    assert (watch.called, event) == (True, "silent")


@pytest.mark.parametrize(("silence", "expected"), [(59.0, "well"), (60.0, "silent")])
def test_the_shipped_limits(silence: float, expected: State) -> None:
    assert Watch(silence, heard=NOW).state(NOW, Limits()) == expected


def test_state_and_callout_are_stored_in_one_step(tmp_path: Path) -> None:
    store = Store(tmp_path / "courier.db")

    def call(event: Event, watch: Watch) -> Mapping[str, Mapping[str, Any]]:
        return {"command": {"event": event}}

    deadman = DeadMan(store, LIMITS, call)
    deadman.hear()
    deadman._advance(61)
    deadman._advance(61)
    again = Store(tmp_path / "courier.db")
    assert Watch.from_dict(again.watch()).called
    assert again.pending() == {"command": 1}
    # A courier that starts now has called out already, and continues from there.
    restarted = DeadMan(again, LIMITS, call)
    restarted._advance(61)
    assert again.pending() == {"command": 1}
    restarted.hear()
    assert again.pending() == {"command": 2}


def test_the_end_of_no_plan_hides_no_recovery(tmp_path: Path) -> None:
    deadman = DeadMan(Store(tmp_path / "courier.db"), LIMITS, lambda event, watch: {})
    deadman.hear()
    deadman._advance(61)
    deadman.plan(0)
    assert deadman.watch.called
    deadman.plan(100)
    assert deadman.state() == "planned"
    deadman.plan(0)
    assert deadman.watch == Watch()


def test_the_state_of_an_older_version_is_understood() -> None:
    assert Watch.from_dict({"silence": 7.0, "unknown": 1}) == Watch(7.0)
