"""Drives every model's slot from state to state.

It observes the state of the world, derives the next slot by a transition, stores it by compare-and-swap, and only then
acts.

All memory is in the ledger, so a courier that is killed at any point, and two that run at once, end where one would
have: before an action is repeated, the driver checks whether it has happened.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from catwalk.clients.airflow_api import AirflowError, AirflowRefusedError
from catwalk.clients.prometheus import PrometheusError
from catwalk.errors import CatwalkError, DamagedError, PreconditionFailedError, StoreError
from catwalk.ledger.records.retraining import ClaimRecord, RequestRecord, SlotRecord
from catwalk.ledger.validation import fault
from catwalk.retraining import slots
from catwalk.retraining.episodes import claim
from catwalk.retraining.events import (
    Asking,
    Denied,
    Ended,
    Event,
    Fired,
    Found,
    Passed,
    Replaced,
    Served,
    Serving,
    Taken,
    Vanished,
    Waits,
    Withdrawn,
)
from catwalk.retraining.transitions import ASKING_SECONDS, episode_of, has_cooled, has_served_long_enough, refusal, step
from catwalk.storage.store import Store
from catwalk.storage.swap import TRIES, never_holds
from catwalk_courier.retraining import evidence
from catwalk_courier.retraining.airflow import Airflow, DagRun
from catwalk_courier.retraining.requests import Requests

log = logging.getLogger("catwalk.courier")

_DENIALS = (400, 404, 422)
"""Statuses that stay the same until someone changes something."""


class Driver:
    """Takes each slot one step further at each :meth:`tick`."""

    def __init__(
        self,
        store: Store,
        airflow: Airflow,
        requests: Callable[[], Requests],
        report: Callable[[SlotRecord, SlotRecord], None],
    ) -> None:
        """
        Args:
            store: The store that holds the ledger.
            airflow: The Airflow that runs the retrainings.
            requests: Returns the current requests; called at each tick.
            report: Called with each slot that this courier changes, before and after the change.
        """
        self.slots: dict[str, SlotRecord] = {}
        """The slots at the last look."""
        self._etags: dict[str, str] = {}
        self._damaged: set[str] = set()
        self._conflicts: Counter[str] = Counter()
        """Model → how often in a row its slot changed before it could be written."""
        self._unsure = ""
        self._store, self._airflow, self._requests, self._report = store, airflow, requests, report

    def tick(self) -> bool:
        """Looks at every slot. Returns whether one has changed its state, so that there may be more to do at once.

        Raises:
            StoreError: The ledger does not answer for at least one model; the others were looked at.
            AlertmanagerError: It is unknown what is firing. Everything that does not depend on it was done.
        """
        requests = self._requests()
        self._unsure = requests.unsure
        self._read()
        moved, errors = False, list[CatwalkError]()
        for model in {*self.slots, *requests.firing} - self._damaged:
            try:
                moved |= self._advance(self.slots.get(model, SlotRecord(model)), requests.firing.get(model, ()))
                del self._conflicts[model]
            except PreconditionFailedError:
                moved |= self._may_look_again(model)
            except StoreError as error:
                errors.append(error)
        if requests.error and self.slots:
            errors.append(requests.error)
        if errors:
            raise errors[0]
        return moved

    def _may_look_again(self, model: str) -> bool:
        """Whether to look again at once: another courier or a person was faster. If that repeats, there is no hurry."""
        self._conflicts[model] += 1
        if self._conflicts[model] == TRIES:
            log.error("no alert can retrain %s: %s", model, never_holds(slots.key(model)))
        return self._conflicts[model] < TRIES

    def _read(self) -> None:
        known = dict(slots.etags(self._store))
        for model in self._etags.keys() - known.keys():
            self._forget(model)
        for model in [model for model, etag in known.items() if self._etags.get(model) != etag]:
            self._forget(model)
            try:
                found = _valid(slots.find(self._store, model))
            except DamagedError as error:
                self._etags[model] = known[model]
                self._damaged.add(model)
                log.error("no alert can retrain %s: %s", model, error)
                continue
            if found:
                self.slots[model], self._etags[model] = found

    def _forget(self, model: str) -> None:
        self._damaged.discard(model)
        self.slots.pop(model, None)
        self._etags.pop(model, None)

    def _advance(self, slot: SlotRecord, firing: Sequence[Fired]) -> bool:
        event = self._event(slot, firing)
        if event is None:
            return False
        after, action = step(slot, event, time.time())
        changed = self._keep(slot, after)
        if action == "ask" and after.episode:
            answer = self._start(after, after.episode)
            return self._keep(after, step(after, answer, time.time()).slot) if answer else True
        return changed

    def _keep(self, before: SlotRecord, after: SlotRecord) -> bool:
        if after == before:
            return False
        self._etags[after.model] = slots.keep(self._store, after, self._etags.get(after.model))
        self.slots[after.model] = after
        self._report(before, after)
        return after.state != before.state

    def _event(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event | None:
        """The event that the world gives a slot; None: none that matters in its state."""
        looks: Mapping[str, Callable[[SlotRecord, Sequence[Fired]], Event | None]] = {
            "idle": self._idle,
            "wanted": self._wanted,
            "running": self._running,
            "watched": self._watched,
            "cooling": self._cooling,
            "breaker": _first,
        }
        try:
            return looks[slot.state](slot, firing)
        except AirflowRefusedError as error:
            return _refusal(slot, error)
        except (AirflowError, PrometheusError, DamagedError) as error:
            return Waits(str(error))

    def _idle(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event | None:
        fired = _first(slot, firing)
        if fired is None or refusal(slot, fired, time.time()):
            return fired
        paused = self._is_paused(slot)
        as_of = evidence.champion_as_of(self._store, slot.model)
        received = evidence.labels_received(self._store, slot.model)
        return replace(fired, paused=paused, champion_as_of=as_of, labels_received=received)

    def _wanted(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event:
        episode, dag_id = episode_of(slot), slot.settings.dag_id
        found = self._airflow.find(dag_id, episode.dag_run_id)
        if found:
            return self._posted(slot, found) if episode.posted else Taken()
        asked = time.time() - episode.posted < ASKING_SECONDS
        unwanted = self._unwanted(slot, firing)
        if unwanted:
            return Waits() if asked else unwanted  # a request may be in flight: don't make another
        scheduled = None if asked else self._scheduled(slot)
        if scheduled:
            return Found(scheduled.dag_run_id, scheduled.run_id, adopted=True)
        return _unknown(episode, firing) or Asking()

    def _posted(self, slot: SlotRecord, own: DagRun) -> Event:
        """The run that the episode gets: its own, unless Airflow has started a scheduled run that gets the claim.
        The first task of the own run is then skipped."""
        scheduled = self._scheduled(slot)
        number = episode_of(slot).number
        if scheduled and claim(self._store, slot.model, number, ClaimRecord(scheduled.run_id, scheduled.dag_run_id)):
            return Found(scheduled.dag_run_id, scheduled.run_id, adopted=True)
        return Found(own.dag_run_id, own.run_id)

    def _scheduled(self, slot: SlotRecord) -> DagRun | None:
        """A scheduled run, queued or running, with data of the day on which the alert began, or of a later one."""
        onset = time.strftime("%Y-%m-%d", time.gmtime(episode_of(slot).onset))
        return self._airflow.scheduled(slot.settings.dag_id, onset)

    def _unwanted(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event | None:
        """Why the run must not be requested now; None: it may."""
        if not slot.settings.on:
            return Withdrawn("off")
        if not firing:
            return Waits(self._unsure) if self._unsure else Withdrawn("resolved_first")
        return Withdrawn("paused") if self._airflow.is_paused(slot.settings.dag_id) else None

    def _running(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event | None:
        episode = episode_of(slot)
        run_id = evidence.begun(self._store, slot.model, episode)
        ended = evidence.verdict(self._store, run_id)
        if ended:
            return ended
        found = self._airflow.find(slot.settings.dag_id, episode.dag_run_id)
        if found and found.ended:
            run_id = run_id or evidence.logged(self._store, slot.model, episode.dag_run_id)
            return evidence.verdict(self._store, run_id) or evidence.failure(self._store, run_id)
        if found:
            paused = f"the DAG {slot.settings.dag_id}, which is paused" if self._is_paused(slot) else ""
            return _unknown(episode, firing) or Waits(paused)
        if run_id:  # Airflow was restored from a backup, but the run may still be at work
            return evidence.silence(self._store, run_id, time.time()) or Waits()
        if episode.adopted or not slot.settings.on:
            return Ended("failed", reason="Airflow has lost the run")
        self._airflow.is_paused(slot.settings.dag_id)  # raises if there is no such DAG
        return Vanished()

    def _is_paused(self, slot: SlotRecord) -> bool:
        """Whether the DAG is known to be paused. While Airflow does not answer, what is asked of it next waits."""
        with suppress(AirflowError):
            return self._airflow.is_paused(slot.settings.dag_id)
        return False

    def _watched(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event:
        episode = episode_of(slot)
        if evidence.champion(self._store, slot.model) != episode.run_id:
            return Replaced()
        if not episode.serving:
            return self._serving(slot, episode)
        again = [one for one in firing if one.began > episode.serving]
        if again:
            return again[0]
        if not has_served_long_enough(slot, time.time()):
            return Waits()
        if self._unsure:
            return Waits(self._unsure)
        served = evidence.predictions(slot.model, episode.run_id, episode.serving)
        return Served(served, firing[0].alert if firing else "")

    def _serving(self, slot: SlotRecord, episode: RequestRecord) -> Event:
        """Whether the shipped model is in service. If no predictions are required, it is at once."""
        needed = slot.settings.watch_predictions
        if needed and not evidence.predictions(slot.model, episode.run_id, episode.judged):
            return Waits(f"the first prediction of {episode.run_id}")
        return Serving()

    def _cooling(self, slot: SlotRecord, firing: Sequence[Fired]) -> Event | None:
        return Passed() if has_cooled(slot, time.time()) else _first(slot, firing)

    def _start(self, slot: SlotRecord, episode: RequestRecord) -> Event | None:
        """Requests the run from Airflow. The next tick checks whether Airflow has it."""
        note = f"Catwalk: requested by {episode.alert}, episode {episode.number} of {slot.model}."
        try:
            self._airflow.start(slot.settings.dag_id, episode.dag_run_id, note)
        except AirflowRefusedError as error:
            return _refusal(slot, error)
        except CatwalkError as error:
            return Waits(str(error))
        return None


def _valid(found: tuple[SlotRecord, str] | None) -> tuple[SlotRecord, str] | None:
    """
    Raises:
        DamagedError: It has a value that this version does not know.
    """
    wrong = fault(found[0]) if found else ""
    if wrong:
        raise DamagedError(f"the record of its slot can't be used: {wrong}; did a newer courier write it?")
    return found


def _refusal(slot: SlotRecord, error: AirflowRefusedError) -> Event:
    reason = f"{error}; is there a DAG {slot.settings.dag_id}?" if error.status == 404 else str(error)
    return Denied(reason) if error.status in _DENIALS else Waits(reason)


def _first(slot: SlotRecord, firing: Sequence[Fired]) -> Fired | None:
    """The oldest of the alerts, which stands for all."""
    return firing[0] if firing else None


def _unknown(episode: RequestRecord, firing: Sequence[Fired]) -> Fired | None:
    """An alert that is not attached to the episode yet."""
    return next((one for one in firing if one.alert not in (episode.alert, *episode.alerts)), None)
