"""How events change a slot: pure functions, with every transition of docs/retraining.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from catwalk.ledger.records.retraining import (
    STATES,
    Refusal,
    RefusedRecord,
    RequestRecord,
    SlotRecord,
    State,
)
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
from catwalk.retraining.run_ids import dag_run_id

Action = Literal["nothing", "ask"]
"""What to do once the new slot is stored: request the run from Airflow, or nothing."""

BUDGET_SECONDS = 7 * 86_400.0
PATIENCE_SECONDS = 86_400.0
"""How long a run may be wanted, and how long it may run, before a person is notified."""
WATCHED_SECONDS = 7 * 86_400.0
"""How long, beyond the time that it is watched, a shipped model has to show whether it helps."""
DENIED_SECONDS = 300.0
"""How long Airflow may refuse before a person is notified: during a deployment a DAG can't be parsed, and an Airflow
with a new database has to find it first."""
ASKING_SECONDS = 120.0
"""How long a request to Airflow may be in flight: until then, its run may still appear."""
_KEPT = 100
"""Episodes of the history; older ones are dropped."""


class Step(NamedTuple):
    """A slot after an event, and what to do."""

    slot: SlotRecord
    action: Action = "nothing"


def step(slot: SlotRecord, event: Event, now: float) -> Step:
    """The slot after an event at a Unix time. An event that means nothing in the slot's state changes nothing."""
    by_hand = _by_hand(slot, event, now)
    if by_hand is not None:
        return Step(by_hand)
    change = _CHANGES[slot.state].get(type(event))
    return change(slot, event, now) if change else Step(slot)


def refusal(slot: SlotRecord, event: Fired, now: float) -> Refusal | None:
    """Why an idle slot refuses a request; None: it does not."""
    if not slot.settings.on:
        return "off"
    if budget_left(slot, now) <= 0:
        return "budget"
    if event.paused:
        return "paused"
    today = time.strftime("%Y-%m-%d", time.gmtime(now))
    is_a_day = len(event.champion_as_of) == len(today)
    if is_a_day and event.champion_as_of >= today:
        return "no_newer_data"
    received = event.labels_received
    return "no_labels_since_onset" if received is not None and received < event.began else None


def budget_left(slot: SlotRecord, now: float) -> int:
    """How many more runs the budget allows in the seven days up to a Unix time."""
    known = [*slot.history, *([slot.episode] if slot.episode else [])]
    spent = [one for one in known if one.started > now - BUDGET_SECONDS and not one.adopted]
    return slot.settings.budget - len(spent)


def has_cooled(slot: SlotRecord, now: float) -> bool:
    """Whether the cooldown is over at a Unix time."""
    return now - slot.since >= slot.settings.cooldown_seconds


def has_served_long_enough(slot: SlotRecord, now: float) -> bool:
    """Whether a shipped model has been in service, at a Unix time, for as long as it must be watched."""
    return now - episode_of(slot).serving >= slot.settings.watch_seconds


def _by_hand(slot: SlotRecord, event: Event, now: float) -> SlotRecord | None:
    """The slot after a person's change; None: the event is not one."""
    if isinstance(event, TurnedOn):
        return replace(slot, settings=replace(event.settings, on=True), changed_by=event.by, changed=now)
    if isinstance(event, TurnedOff):
        return replace(slot, settings=replace(slot.settings, on=False), changed_by=event.by, changed=now)
    if isinstance(event, Reset) and slot.state == "breaker":
        return _to(slot, "idle", now, strikes=0, why="", changed_by=event.by, changed=now)
    return None


def _to(slot: SlotRecord, state: State, now: float, **changes: Any) -> SlotRecord:
    return replace(slot, state=state, since=now, waiting="", **changes)


def episode_of(slot: SlotRecord) -> RequestRecord:
    """The current episode, in a state that has one."""
    assert slot.episode, f"the slot of {slot.model} is {slot.state} without an episode"
    return slot.episode


def _episode(slot: SlotRecord, **changes: Any) -> RequestRecord:
    """The current episode with changes."""
    return replace(episode_of(slot), **changes)


def _waiting(slot: SlotRecord, reason: str, now: float) -> SlotRecord:
    return slot if reason == slot.waiting else replace(slot, waiting=reason, waiting_since=now)


def _counted(slot: SlotRecord, reason: Refusal) -> SlotRecord:
    return replace(slot, refusals={**slot.refusals, reason: slot.refusals.get(reason, 0) + 1})


def _refused(slot: SlotRecord, reason: Refusal, event: Fired, now: float) -> Step:
    """Counts a refusal, once even if the same alert is notified a thousand times."""
    last = slot.refused
    if last and (last.reason, last.fingerprint, last.began) == (reason, event.fingerprint, event.began):
        return Step(slot)
    refused = RefusedRecord(reason, event.alert, event.fingerprint, event.began, now)
    return Step(replace(_counted(slot, reason), refused=refused))


def _asked(slot: SlotRecord, event: Fired, now: float) -> Step:
    reason = refusal(slot, event, now)
    if reason:
        return _refused(slot, reason, event, now)
    number = slot.number + 1
    opened = RequestRecord(number, dag_run_id(slot.model, number), event.alert, event.began, now, event.fingerprint)
    history = [*slot.history, *([slot.episode] if slot.episode else [])][-_KEPT:]
    return Step(_to(slot, "wanted", now, number=number, episode=opened, history=history, refused=None))


def _attached(slot: SlotRecord, event: Fired, now: float) -> Step:
    known = episode_of(slot)
    if event.alert in (known.alert, *known.alerts):
        return Step(slot)
    return Step(replace(slot, episode=replace(known, alerts=[*known.alerts, event.alert])))


def _withdrawn(slot: SlotRecord, event: Withdrawn, now: float) -> Step:
    episode = _episode(slot, reason=event.reason)
    if now - episode.posted < ASKING_SECONDS:
        return Step(slot)
    refused = RefusedRecord(event.reason, episode.alert, episode.fingerprint, episode.onset, now)
    return Step(_to(_counted(slot, event.reason), "idle", now, episode=episode, refused=refused))


def _asking(slot: SlotRecord, event: Asking, now: float) -> Step:
    return Step(replace(slot, episode=_episode(slot, posted=now)), "ask")


def _taken(slot: SlotRecord, event: Taken, now: float) -> Step:
    number = slot.number + 1
    return Step(
        replace(slot, number=number, episode=_episode(slot, number=number, dag_run_id=dag_run_id(slot.model, number)))
    )


def _found(slot: SlotRecord, event: Found, now: float) -> Step:
    started = _episode(slot, dag_run_id=event.dag_run_id, run_id=event.run_id, adopted=event.adopted, started=now)
    return Step(_to(slot, "running", now, episode=started))


def _wanted_waits(slot: SlotRecord, event: Waits, now: float) -> Step:
    if now - slot.since > PATIENCE_SECONDS:
        return _opened(slot, f"Airflow did not take the run for a day: {event.reason}", now)
    return Step(_waiting(slot, event.reason, now))


def _running_waits(slot: SlotRecord, event: Waits, now: float) -> Step:
    if now - slot.since > PATIENCE_SECONDS:
        return _ended(slot, Ended("failed", reason=event.reason or "it has not ended within a day"), now)
    return Step(_waiting(slot, event.reason, now))


def _denied(slot: SlotRecord, event: Denied, now: float) -> Step:
    waits = _waiting(slot, event.reason, now)
    if now - waits.waiting_since > DENIED_SECONDS or now - slot.since > PATIENCE_SECONDS:
        return _opened(slot, event.reason, now)
    return Step(waits)


def _vanished(slot: SlotRecord, event: Vanished, now: float) -> Step:
    return Step(slot, "ask")


def _ended(slot: SlotRecord, event: Ended, now: float) -> Step:
    known = episode_of(slot)
    judged = replace(known, judged=now, verdict=event.verdict, run_id=event.run_id or known.run_id, reason=event.reason)
    if event.verdict == "shipped":
        return Step(_to(slot, "watched", now, episode=judged))
    return _strike(replace(slot, episode=judged), _LAST[event.verdict], now)


def _strike(slot: SlotRecord, why: str, now: float) -> Step:
    slot = replace(slot, strikes=slot.strikes + 1)
    if slot.strikes >= slot.settings.strikes:
        retrainings = "retraining" if slot.strikes == 1 else "retrainings in a row"
        return _opened(slot, f"{slot.strikes} {retrainings} did not help: {why}", now)
    return Step(_to(slot, "cooling", now))


def _opened(slot: SlotRecord, why: str, now: float) -> Step:
    return Step(_to(slot, "breaker", now, why=why))


def _serving(slot: SlotRecord, event: Serving, now: float) -> Step:
    return Step(replace(_waiting(slot, "", now), episode=_episode(slot, serving=now)))


def _replaced(slot: SlotRecord, event: Replaced, now: float) -> Step:
    """It is unknown whether it would have helped."""
    return Step(_to(slot, "cooling", now))


def _fired_again(slot: SlotRecord, event: Fired, now: float) -> Step:
    """An alert that began before the version was in service may keep firing for as long as its windows."""
    serving = episode_of(slot).serving
    if not serving or event.began <= serving:
        return Step(slot)
    return _strike(slot, f"{event.alert} fired again while the new version was in service", now)


def _served(slot: SlotRecord, event: Served, now: float) -> Step:
    settings, episode = slot.settings, episode_of(slot)
    if not has_served_long_enough(slot, now):
        return Step(_waiting(slot, "", now))
    if event.predictions < settings.watch_predictions:
        return _watched_waits(slot, Waits(f"{settings.watch_predictions:,} predictions of {episode.run_id}"), now)
    if not event.firing:
        return Step(_to(slot, "cooling", now, strikes=0))
    if _watched_too_long(slot, now):
        return _strike(slot, f"{event.firing} is still firing while the new version is in service", now)
    return Step(_waiting(slot, f"the end of {event.firing}", now))


def _watched_waits(slot: SlotRecord, event: Waits, now: float) -> Step:
    if _watched_too_long(slot, now):
        return Step(_to(slot, "cooling", now))
    return Step(_waiting(slot, event.reason, now))


def _watched_too_long(slot: SlotRecord, now: float) -> bool:
    return now - slot.since > slot.settings.watch_seconds + WATCHED_SECONDS


def _cooled(slot: SlotRecord, event: Passed, now: float) -> Step:
    return Step(_to(slot, "idle", now) if has_cooled(slot, now) else slot)


def _in_cooling(slot: SlotRecord, event: Fired, now: float) -> Step:
    return _refused(slot, "cooldown", event, now)


def _in_breaker(slot: SlotRecord, event: Fired, now: float) -> Step:
    return _refused(slot, "breaker", event, now)


_LAST = {"held": "the last one was held", "failed": "the last one failed"}
_Change = Callable[[SlotRecord, Any, float], Step]
_CHANGES: Mapping[State, Mapping[type, _Change]] = {
    "idle": {Fired: _asked},
    "wanted": {
        Fired: _attached,
        Withdrawn: _withdrawn,
        Asking: _asking,
        Taken: _taken,
        Found: _found,
        Waits: _wanted_waits,
        Denied: _denied,
    },
    "running": {
        Fired: _attached,
        Ended: _ended,
        Vanished: _vanished,
        Waits: _running_waits,
        Denied: _denied,
    },
    "watched": {
        Fired: _fired_again,
        Serving: _serving,
        Served: _served,
        Replaced: _replaced,
        Waits: _watched_waits,
    },
    "cooling": {Fired: _in_cooling, Passed: _cooled},
    "breaker": {Fired: _in_breaker},
}
"""State → event → the function that makes the next slot."""
assert tuple(_CHANGES) == STATES
