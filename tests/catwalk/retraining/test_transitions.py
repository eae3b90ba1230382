"""Every transition of a slot, as in docs/retraining.md."""

from __future__ import annotations

import re
from dataclasses import replace

from catwalk.ledger.records.retraining import REFUSALS, RequestRecord, RetrainingSettings, SlotRecord, State
from catwalk.retraining.events import (
    Asking,
    Denied,
    Ended,
    Event,
    Fired,
    Found,
    Passed,
    Replaced,
    Reset,
    Served,
    Serving,
    Taken,
    TurnedOff,
    TurnedOn,
    Vanished,
    Waits,
    Withdrawn,
)
from catwalk.retraining.transitions import (
    _CHANGES,
    ASKING_SECONDS,
    BUDGET_SECONDS,
    DENIED_SECONDS,
    PATIENCE_SECONDS,
    WATCHED_SECONDS,
    Step,
    budget_left,
    step,
)
from stack.settings import PROJECT

NOW = 1_796_000_000.0
"""2026-11-30T00:53:20Z"""
DAY = 86_400.0
SERVING = NOW + 3_600
SETTINGS = RetrainingSettings(on=True, dag_id="churn_training", budget=2)
WATCH = SETTINGS.watch_seconds
FIRED = Fired("ServiceInputDrifted", "f1", NOW - 60)
ID = "catwalk__churn__e1"


def slot(state: State = "idle", **changes: object) -> SlotRecord:
    """A slot that is turned on; in every state but idle, it has an episode."""
    episode = RequestRecord(1, ID, "ServiceInputDrifted", NOW - 60, NOW, "f1")
    if state in ("running", "watched", "cooling", "breaker"):
        episode = replace(episode, started=NOW, run_id="run")
    if state in ("watched", "cooling"):
        episode = replace(episode, judged=NOW, verdict="shipped" if state == "watched" else "held")
    values = {"number": 1, "episode": episode} if state != "idle" else {}
    return replace(SlotRecord("churn", SETTINGS, state, NOW), **{**values, **changes})


def after(before: SlotRecord, *events: Event, at: float = NOW) -> Step:
    """The step that the last of these events makes."""
    found = Step(before)
    for event in events:
        found = step(found.slot, event, at)
    return found


def refused(before: SlotRecord, event: Fired = FIRED, at: float = NOW) -> dict[str, int]:
    """The refusals that an event counts, while the state must stay the same."""
    found = after(before, event, at=at)
    assert (found.slot.state, found.action) == (before.state, "nothing")
    assert found.slot.number == before.number
    return found.slot.refusals


# idle


def test_idle_fired_becomes_wanted() -> None:
    found = after(slot(), FIRED)
    assert (found.slot.state, found.slot.number, found.action) == ("wanted", 1, "nothing")
    assert found.slot.episode == RequestRecord(1, ID, "ServiceInputDrifted", NOW - 60, NOW, "f1")


def test_idle_fired_refused_off() -> None:
    assert refused(SlotRecord("churn")) == {"off": 1}, "it was never turned on"


def test_idle_fired_refused_budget() -> None:
    spent = [RequestRecord(n, f"r{n}", "A", NOW, NOW, started=NOW - n * DAY) for n in (1, 2)]
    assert refused(slot(history=spent)) == {"budget": 1}


def test_idle_fired_once_a_run_is_seven_days_old_becomes_wanted() -> None:
    spent = [RequestRecord(n, f"r{n}", "A", NOW, NOW, started=NOW - age) for n, age in ((1, BUDGET_SECONDS), (2, DAY))]
    assert after(slot(history=spent), FIRED).slot.state == "wanted"


def test_idle_fired_where_a_run_was_adopted_costs_no_budget() -> None:
    spent = [RequestRecord(n, f"r{n}", "A", NOW, NOW, started=NOW - DAY, adopted=n == 1) for n in (1, 2)]
    assert budget_left(slot(history=spent), NOW) == 1


def test_idle_fired_refused_paused() -> None:
    assert refused(slot(), replace(FIRED, paused=True)) == {"paused": 1}


def test_idle_fired_refused_no_newer_data() -> None:
    assert refused(slot(), replace(FIRED, champion_as_of="2026-11-30")) == {"no_newer_data": 1}


def test_idle_fired_on_the_day_after_the_champions_data_becomes_wanted() -> None:
    fired = replace(FIRED, champion_as_of="2026-11-30")
    assert after(slot(), fired, at=NOW + DAY).slot.state == "wanted"


def test_idle_fired_refused_no_labels_since_onset() -> None:
    assert refused(slot(), replace(FIRED, labels_received=FIRED.began - 1)) == {"no_labels_since_onset": 1}


def test_idle_fired_once_a_label_has_come_since_the_onset_becomes_wanted() -> None:
    waiting = after(slot(), replace(FIRED, labels_received=FIRED.began - 1)).slot
    assert after(waiting, replace(FIRED, labels_received=FIRED.began)).slot.state == "wanted"


def test_a_refusal_is_counted_once_an_alert_and_reason() -> None:
    told_often = after(slot(), *[replace(FIRED, paused=True)] * 1_000).slot
    assert told_often.refusals == {"paused": 1}
    again = after(told_often, replace(FIRED, paused=True, began=NOW)).slot
    assert again.refusals == {"paused": 2}, "it ended and fired again"


# any but idle


def test_wanted_fired_is_attached() -> None:
    other = Fired("ServicePredictionsShifted", "f2", NOW)
    for state in ("wanted", "running"):
        found = after(slot(state), FIRED, other, other, replace(FIRED, began=NOW)).slot  # type: ignore[arg-type]
        assert (found.state, found.number) == (state, 1)
        assert found.episode and found.episode.alerts == ["ServicePredictionsShifted"]


def test_a_thousand_notifications_are_one_episode() -> None:
    assert after(slot(), *[FIRED] * 1_000).slot.number == 1


# wanted


def test_wanted_asking_asks() -> None:
    found = after(slot("wanted"), Asking())
    assert (found.slot.state, found.action) == ("wanted", "ask")
    assert found.slot.episode and found.slot.episode.posted == NOW


def test_wanted_taken_has_the_next_number() -> None:
    found = after(slot("wanted"), Taken()).slot
    assert (found.state, found.number, found.since, found.history) == ("wanted", 2, NOW, [])
    assert found.episode == RequestRecord(2, "catwalk__churn__e2", "ServiceInputDrifted", NOW - 60, NOW, "f1")


def test_wanted_found_becomes_running_and_is_debited() -> None:
    found = after(slot("wanted"), Found(ID, "run")).slot
    assert found.episode and (found.state, found.episode.started, found.episode.run_id) == ("running", NOW, "run")
    assert budget_left(found, NOW) == 1, "in the same swap"


def test_wanted_found_a_scheduled_run_is_adopted() -> None:
    found = after(slot("wanted"), Found("scheduled__2026-11-30", "run", adopted=True)).slot
    assert found.episode and (found.state, found.episode.dag_run_id) == ("running", "scheduled__2026-11-30")
    assert budget_left(found, NOW) == 2, "it costs nothing"


def test_wanted_withdrawn_resolved_first_becomes_idle() -> None:
    found = after(slot("wanted"), Withdrawn("resolved_first")).slot
    assert (found.state, found.refusals) == ("idle", {"resolved_first": 1})
    assert budget_left(found, NOW) == 2


def test_wanted_withdrawn_turned_off_or_paused_becomes_idle() -> None:
    for reason in ("off", "paused"):
        found = after(slot("wanted"), Withdrawn(reason)).slot  # type: ignore[arg-type]
        assert (found.state, found.refusals) == ("idle", {reason: 1})
    paused = after(slot("wanted"), Withdrawn("paused"), replace(FIRED, paused=True)).slot
    assert paused.refusals == {"paused": 1}, "the same alert is refused for the same reason once"


def test_wanted_withdrawn_while_a_request_may_be_on_its_way_stays_wanted() -> None:
    asked = after(slot("wanted"), Asking()).slot
    assert after(asked, Withdrawn("resolved_first"), at=NOW + ASKING_SECONDS - 1).slot == asked
    assert after(asked, Withdrawn("resolved_first"), at=NOW + ASKING_SECONDS).slot.state == "idle"


def test_wanted_waits_says_for_what() -> None:
    found = after(slot("wanted"), Waits("Airflow does not answer"), at=NOW + 3_600).slot
    assert (found.state, found.waiting) == ("wanted", "Airflow does not answer")
    assert after(found, Found(ID, "run")).slot.waiting == ""


def test_wanted_waits_for_a_day_opens_the_breaker() -> None:
    found = after(slot("wanted"), Waits("Airflow does not answer"), at=NOW + PATIENCE_SECONDS + 1).slot
    assert (found.state, found.why) == ("breaker", "Airflow did not take the run for a day: Airflow does not answer")


def test_wanted_denied_says_why_it_waits() -> None:
    found = after(slot("wanted"), Denied("import errors"), at=NOW + 3_600).slot
    assert (found.state, found.waiting) == ("wanted", "import errors")
    assert after(found, Denied("import errors"), at=NOW + 3_600 + DENIED_SECONDS).slot == found
    assert after(found, Found(ID, "run")).slot.state == "running"


def test_wanted_denied_for_five_minutes_opens_the_breaker() -> None:
    found = after(slot("wanted"), Denied("import errors"), at=NOW + 3_600).slot
    opened = after(found, Asking(), Denied("import errors"), at=NOW + 3_601 + DENIED_SECONDS).slot
    assert (opened.state, opened.why) == ("breaker", "import errors")


def test_wanted_denied_for_other_reasons_for_a_day_opens_the_breaker() -> None:
    found = after(slot("wanted"), Denied("import errors"), at=NOW + PATIENCE_SECONDS).slot
    assert after(found, Denied("no DAG"), at=NOW + PATIENCE_SECONDS + 1).slot.state == "breaker"


# running


def test_running_vanished_asks_again_for_the_same_id() -> None:
    before = slot("running")
    found = after(before, Vanished())
    assert (found.slot, found.action) == (before, "ask")


def test_running_waits_says_for_what() -> None:
    found = after(slot("running"), Waits("Airflow does not answer")).slot
    assert (found.state, found.waiting) == ("running", "Airflow does not answer")
    assert after(found, Waits()).slot.waiting == "", "it answers again"


def test_running_for_more_than_a_day_is_judged_failed() -> None:
    found = after(slot("running"), Waits(), at=NOW + PATIENCE_SECONDS + 1).slot
    assert found.episode and (found.state, found.episode.verdict, found.strikes) == ("cooling", "failed", 1)


def test_running_vanished_and_denied_for_five_minutes_opens_the_breaker() -> None:
    found = after(slot("running"), Vanished(), Denied("import errors"), at=NOW + 3_600).slot
    assert (found.state, found.waiting) == ("running", "import errors")
    later = NOW + 3_601 + DENIED_SECONDS
    assert after(found, Vanished(), Denied("import errors"), at=later).slot.state == "breaker"


# judged


def test_judged_held_is_a_strike_and_becomes_cooling() -> None:
    found = after(slot("running"), Ended("held", "run")).slot
    assert found.episode and (found.state, found.strikes, found.episode.verdict) == ("cooling", 1, "held")
    assert found.episode.judged == NOW


def test_judged_failed_is_a_strike_and_becomes_cooling() -> None:
    assert after(slot("running"), Ended("failed")).slot.strikes == 1


def test_judged_shipped_becomes_watched() -> None:
    found = after(slot("running", strikes=1), Ended("shipped", "run")).slot
    assert (found.state, found.strikes) == ("watched", 1)


def test_judged_held_a_second_time_opens_the_breaker() -> None:
    found = after(slot("running", strikes=1), Ended("held", "run")).slot
    assert (found.state, found.why) == ("breaker", "2 retrainings in a row did not help: the last one was held")
    strict = slot("running", settings=replace(SETTINGS, strikes=1))
    assert after(strict, Ended("failed")).slot.why == "1 retraining did not help: the last one failed"


# watched


def in_service(**changes: object) -> SlotRecord:
    """The shipped model makes predictions, an hour after the judgement."""
    return after(slot("watched", **changes), Serving(), at=SERVING).slot


def test_watched_serving_says_since_when_and_stays_watched() -> None:
    found = after(slot("watched", waiting="the first prediction of run"), Serving(), at=SERVING).slot
    assert found.episode and (found.state, found.waiting, found.episode.serving) == ("watched", "", SERVING)


def test_watched_fired_again_once_in_service_is_a_strike_and_becomes_cooling() -> None:
    found = after(in_service(), replace(FIRED, began=SERVING + 60), at=SERVING + 60).slot
    assert (found.state, found.strikes) == ("cooling", 1)


def test_watched_fired_again_before_it_is_in_service_stays_watched() -> None:
    again = replace(FIRED, began=NOW + 60)
    assert after(slot("watched"), again, at=NOW + 60).slot == slot("watched"), "it is the previous version that drifts"
    assert after(in_service(), again, FIRED, at=SERVING + 60).slot == in_service(), "its windows are longer than that"


def test_watched_served_well_clears_the_strikes_and_becomes_cooling() -> None:
    found = after(in_service(strikes=1), Served(1_000, firing=""), at=SERVING + WATCH).slot
    assert (found.state, found.strikes) == ("cooling", 0)


def test_watched_served_for_too_short_stays_watched() -> None:
    assert after(in_service(), Served(1e6, firing=""), at=SERVING + WATCH - 1).slot == in_service()


def test_watched_served_too_little_stays_watched_and_says_so() -> None:
    found = after(in_service(), Served(999, firing=""), at=SERVING + WATCH).slot
    assert (found.state, found.waiting) == ("watched", "1,000 predictions of run")


def test_watched_served_while_what_began_before_still_fires_stays_watched() -> None:
    found = after(in_service(strikes=1), Served(1_000, firing=FIRED.alert), at=SERVING + WATCH).slot
    assert (found.state, found.strikes, found.waiting) == ("watched", 1, "the end of ServiceInputDrifted")
    ended = after(found, Served(1_000, firing=""), at=SERVING + WATCH + DAY).slot
    assert (ended.state, ended.strikes) == ("cooling", 0)


def test_watched_served_while_it_has_fired_for_a_week_longer_is_a_strike() -> None:
    found = after(in_service(strikes=1), Served(1_000, firing=FIRED.alert), at=NOW + WATCH + WATCHED_SECONDS + 1).slot
    assert (found.state, found.strikes) == ("breaker", 2)


def test_watched_replaced_becomes_cooling_and_keeps_the_strikes() -> None:
    for before in (slot("watched", strikes=1), in_service(strikes=1)):
        found = after(before, Replaced(), at=SERVING).slot
        assert (found.state, found.strikes) == ("cooling", 1)


def test_watched_never_served_becomes_cooling_after_a_week_longer_and_keeps_the_strikes() -> None:
    end = NOW + WATCH + WATCHED_SECONDS
    for before, event in (
        (slot("watched", strikes=1), Waits("the first prediction of run")),
        (in_service(strikes=1), Served(999, firing=FIRED.alert)),
        (in_service(strikes=1), Waits("Prometheus does not answer")),
    ):
        assert after(before, event, at=end).slot.state == "watched"
        found = after(before, event, at=end + 1).slot
        assert (found.state, found.strikes, found.waiting) == ("cooling", 1, "")


# cooling


def test_cooling_fired_refused_cooldown() -> None:
    assert refused(slot("cooling")) == {"cooldown": 1}


def test_cooling_passed_becomes_idle() -> None:
    assert after(slot("cooling"), Passed(), at=NOW + DAY - 1).slot.state == "cooling"
    assert after(slot("cooling"), Passed(), at=NOW + DAY).slot.state == "idle"


def test_cooled_and_fired_begins_the_next_episode() -> None:
    found = after(slot("cooling"), Passed(), FIRED, at=NOW + DAY).slot
    assert (found.state, found.number) == ("wanted", 2)
    assert found.episode and found.episode.dag_run_id == "catwalk__churn__e2"
    assert [one.number for one in found.history] == [1]


# breaker


def test_breaker_fired_refused_breaker() -> None:
    assert refused(slot("breaker", strikes=2)) == {"breaker": 1}


def test_breaker_stays_open_however_long() -> None:
    opened = slot("breaker", strikes=2)
    assert after(opened, Passed(), at=NOW + 365 * DAY).slot == opened


def test_breaker_reset_becomes_idle() -> None:
    found = after(slot("breaker", strikes=2, why="x"), Reset("ann")).slot
    assert (found.state, found.strikes, found.why, found.changed_by) == ("idle", 0, "", "ann")


def test_reset_of_what_is_not_open_changes_nothing() -> None:
    assert after(slot("running"), Reset("ann")).slot == slot("running")


# settings


def test_turned_on_and_off_keep_the_state() -> None:
    found = after(slot("running"), TurnedOff("ann")).slot
    assert (found.state, found.settings.on, found.changed_by) == ("running", False, "ann")
    again = after(found, TurnedOn(replace(SETTINGS, on=False, budget=5), "bob")).slot
    assert (again.settings.on, again.settings.budget, again.changed_by) == (True, 5, "bob")


def test_an_event_that_means_nothing_in_a_state_changes_nothing() -> None:
    for event in (Asking(), Found(ID, "run"), Ended("held"), Vanished(), Waits("x"), Denied("x"), Withdrawn("off")):
        for state in ("idle", "cooling", "breaker"):
            assert after(slot(state), event) == Step(slot(state))  # type: ignore[arg-type]


# the page


def test_the_page_names_tests_of_every_transition_and_each_of_them_exists() -> None:
    page = (PROJECT / "docs" / "retraining.md").read_text()
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| (`test_.*) \|$", page, re.MULTILINE)
    changes = [(state, event.__name__) for state, events in _CHANGES.items() for event in events]
    by_hand = [("any", event.__name__) for event in (TurnedOn, TurnedOff, Reset)]
    assert sorted((state, event) for state, event, _ in rows) == sorted(by_hand + changes)
    files = (PROJECT / "tests").rglob("test_*.py")
    known = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert {name for *_, tests in rows for name in re.findall(r"test_\w+", tests)} <= known


def test_the_page_explains_every_refusal() -> None:
    page = (PROJECT / "docs" / "retraining.md").read_text()
    explained = re.findall(r"^\| `(\w+)` \|", page.partition("## Refused")[2].partition("\n## ")[0], re.MULTILINE)
    assert sorted(explained) == sorted(REFUSALS)
