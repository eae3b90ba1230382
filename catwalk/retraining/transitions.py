"""What becomes of a slot by an event: pure functions, with every transition that docs/retraining.md has."""

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
"""What is to be done once the new slot is kept: ask Airflow for the run, or nothing."""

BUDGET_SECONDS = 7 * 86_400.0
PATIENCE_SECONDS = 86_400.0
"""How long a run may be wanted, and how long it may run, before a person is told."""
WATCHED_SECONDS = 7 * 86_400.0
"""How long, beyond the time that it is watched, a model that has shipped has to show whether it helps."""
DENIED_SECONDS = 300.0
"""How long Airflow may say no, before a person is told: a DAG can't be parsed during a deployment, and an Airflow with
a new database has to find it first."""
ASKING_SECONDS = 120.0
"""How long a request to Airflow may be on its way: until then nobody can say that it has not been made."""
_KEPT = 100
"""Episodes; older ones are forgotten."""


class Step(NamedTuple):
    """A slot after an event, and what is to be done."""

    slot: SlotRecord
    action: Action = "nothing"


def step(slot: SlotRecord, event: Event, now: float) -> Step:
    """The slot after an event at a Unix time. Where the event means nothing in its state, it is the same."""
    said = _said(slot, event, now)
    if said is not None:
        return Step(said)
    change = _CHANGES[slot.state].get(type(event))
    return change(slot, event, now) if change else Step(slot)


def refusal(slot: SlotRecord, event: Fired, now: float) -> Refusal | None:
    """Why a request is refused in an idle slot; None: it is not."""
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
    """Runs that may still be asked for in the seven days up to a Unix time."""
    known = [*slot.history, *([slot.episode] if slot.episode else [])]
    spent = [one for one in known if one.started > now - BUDGET_SECONDS and not one.adopted]
    return slot.settings.budget - len(spent)


def has_cooled(slot: SlotRecord, now: float) -> bool:
    """Whether the time after a judgement is over at a Unix time."""
    return now - slot.since >= slot.settings.cooldown_seconds


def has_served_long_enough(slot: SlotRecord, now: float) -> bool:
    """Whether a shipped model has been in service, at a Unix time, for as long as it must be watched."""
    return now - episode_of(slot).serving >= slot.settings.watch_seconds


def _said(slot: SlotRecord, event: Event, now: float) -> SlotRecord | None:
    """The slot after a person's word; None: the event is none."""
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
    """The episode under way, without which no slot is in a state that has one."""
    assert slot.episode, f"the slot of {slot.model} is {slot.state} without an episode"
    return slot.episode


def _episode(slot: SlotRecord, **changes: Any) -> RequestRecord:
    """The same, changed."""
    return replace(episode_of(slot), **changes)


def _waiting(slot: SlotRecord, reason: str, now: float) -> SlotRecord:
    return slot if reason == slot.waiting else replace(slot, waiting=reason, waiting_since=now)


def _counted(slot: SlotRecord, reason: Refusal) -> SlotRecord:
    return replace(slot, refusals={**slot.refusals, reason: slot.refusals.get(reason, 0) + 1})


def _refused(slot: SlotRecord, reason: Refusal, event: Fired, now: float) -> Step:
    """One more refusal; the same alert may be told of a thousand times."""
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
        return _opened(slot, f"the run was not to be had for a day: {event.reason}", now)
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
    return _strike(replace(slot, episode=judged), f"the last one has {event.verdict}", now)


def _strike(slot: SlotRecord, why: str, now: float) -> Step:
    slot = replace(slot, strikes=slot.strikes + 1)
    if slot.strikes >= slot.settings.strikes:
        return _opened(slot, f"{slot.strikes} retrainings in a row have not helped: {why}", now)
    return Step(_to(slot, "cooling", now))


def _opened(slot: SlotRecord, why: str, now: float) -> Step:
    return Step(_to(slot, "breaker", now, why=why))


def _serving(slot: SlotRecord, event: Serving, now: float) -> Step:
    return Step(replace(_waiting(slot, "", now), episode=_episode(slot, serving=now)))


def _replaced(slot: SlotRecord, event: Replaced, now: float) -> Step:
    """Whether it would have helped, nobody knows."""
    return Step(_to(slot, "cooling", now))


def _fired_again(slot: SlotRecord, event: Fired, now: float) -> Step:
    """What has fired since before it was in service may need as long as its windows are to end."""
    serving = episode_of(slot).serving
    if not serving or event.began <= serving:
        return Step(slot)
    return _strike(slot, f"{event.alert} fires again although it is in service", now)


def _served(slot: SlotRecord, event: Served, now: float) -> Step:
    settings, episode = slot.settings, episode_of(slot)
    if not has_served_long_enough(slot, now):
        return Step(_waiting(slot, "", now))
    if event.predictions < settings.watch_predictions:
        return _watched_waits(slot, Waits(f"{settings.watch_predictions:,} predictions of {episode.run_id}"), now)
    if not event.firing:
        return Step(_to(slot, "cooling", now, strikes=0))
    if _watched_too_long(slot, now):
        return _strike(slot, f"{event.firing} fires still although it is in service", now)
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
"""State → event → what makes the next slot."""
assert tuple(_CHANGES) == STATES
