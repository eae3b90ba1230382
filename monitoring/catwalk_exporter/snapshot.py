"""What the exporter has read from the ledger: summaries, champions, models, and the points that ended runs owe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from catwalk.errors import DamagedError, NotFoundError, StoreError
from catwalk.ledger.model_names import of_key
from catwalk.ledger.models import realised, watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries, points_are_due
from catwalk.ledger.validation import fault
from catwalk.replay.points import run_points
from catwalk.retraining import slots
from catwalk.storage.store import Store

R = TypeVar("R")


@dataclass(frozen=True)
class Snapshot:
    """One consistent view; replaced, never changed."""

    summaries: tuple[SummaryRecord, ...] = ()
    """Oldest run first."""
    champions: tuple[ChampionRecord, ...] = ()
    points: dict[str, int] = field(default_factory=dict)
    """Run id → points that its ledger holds, for runs that ended not long ago."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Objects that could not be understood → why."""
    models: tuple[WatchedRecord, ...] = ()
    """What is known of models beyond their runs."""
    realised: tuple[RealisedRecord, ...] = ()
    """How well models did in service."""
    slots: tuple[SlotRecord, ...] = ()
    """What alerts may ask for, and have asked for."""

    def summary(self, run_id: str) -> SummaryRecord | None:
        """A run's summary, if there is one that can be trusted."""
        return next((summary for summary in self.summaries if summary.run_id == run_id), None)


class _Records(Generic[R]):
    """Records below a prefix, one a model. A record is read once, and again when its ETag has changed."""

    def __init__(self, store: Store, prefix: str, find: Callable[[Store, str], R | None]) -> None:
        self._store, self._prefix, self._find = store, prefix, find
        self._known: dict[str, tuple[str, R | str]] = {}
        """Key → ETag, and the record, or why it is damaged."""

    def read(self) -> tuple[tuple[R, ...], dict[str, str]]:
        """The records, and what is damaged: key → why."""
        listed = {entry.key: entry.etag for entry in self._store.list(self._prefix)}
        self._known = {key: known for key, known in self._known.items() if known[0] == listed.get(key)}
        for key in listed.keys() - self._known.keys():
            found = self._record(key)
            if found is not None:
                self._known[key] = listed[key], found
        told = [(key, self._known[key][1]) for key in listed if key in self._known]
        damaged = {key: one for key, one in told if isinstance(one, str)}
        return tuple(one for _, one in told if not isinstance(one, str)), damaged

    def _record(self, key: str) -> R | str | None:
        """None: it is gone by now."""
        try:
            found = self._find(self._store, of_key(key, self._prefix))
        except StoreError as error:
            if not _is_damage(error):
                raise
            return str(error)
        return (fault(found) or found) if found else None


class LedgerReader:
    """Reads the ledger, and remembers what need not be read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._summaries = Summaries(store)
        self._champions = _Records(store, "champions/", _champion)
        self._models = _Records(store, watched.PREFIX, watched.watched)
        self._realised = _Records(store, realised.PREFIX, realised.realised)
        self._slots = _Records(store, slots.PREFIX, slots.slot)
        self._points: dict[str, tuple[SummaryRecord, int]] = {}
        self._damaged_runs: dict[str, tuple[SummaryRecord, str]] = {}

    def read(self, now: float, publish: Callable[[Snapshot], None]) -> None:
        """Reads everything; publishes once the summaries are there, and again after points were counted.

        Counting reads several objects of each run that has just ended: after a sweep that takes a while, and the states
        should not wait for it.

        Raises:
            StoreError: the store could not be read. What was published before stays.
        """
        summaries = tuple(self._summaries.read())
        champions, damaged = self._champions.read()
        models, damaged_models = self._models.read()
        scores, damaged_scores = self._realised.read()
        asked, damaged_slots = self._slots.read()
        damaged |= self._summaries.damaged | damaged_models | damaged_scores | damaged_slots
        due = [summary for summary in summaries if points_are_due(summary, now)]
        uncounted = [summary for summary in due if not self._counted(summary)]

        def snapshot() -> Snapshot:
            counted = {summary.run_id: self._points[summary.run_id][1] for summary in due if self._has_points(summary)}
            broken = {
                f"runs/{run_id}": f"its points can't be counted: {reason}"
                for run_id, (_, reason) in self._damaged_runs.items()
            }
            return Snapshot(summaries, champions, counted, {**damaged, **broken}, models, scores, asked)

        publish(snapshot())
        for summary in uncounted:
            self._count(summary)
        self._forget({summary.run_id for summary in due})
        if uncounted:
            publish(snapshot())

    def _counted(self, summary: SummaryRecord) -> bool:
        broken = self._damaged_runs.get(summary.run_id)
        return self._has_points(summary) or (broken is not None and broken[0] == summary)

    def _has_points(self, summary: SummaryRecord) -> bool:
        known = self._points.get(summary.run_id)
        return known is not None and known[0] == summary

    def _count(self, summary: SummaryRecord) -> None:
        try:
            self._points[summary.run_id] = summary, len(run_points(Run(self._store, summary.run_id)))
            self._damaged_runs.pop(summary.run_id, None)
        except StoreError as error:
            if not _is_damage(error):
                raise
            self._damaged_runs[summary.run_id] = summary, str(error)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            self._damaged_runs[summary.run_id] = summary, f"{type(error).__name__}: {error}"

    def _forget(self, due: set[str]) -> None:
        self._points = {run_id: known for run_id, known in self._points.items() if run_id in due}
        self._damaged_runs = {run_id: known for run_id, known in self._damaged_runs.items() if run_id in due}


def _champion(store: Store, model: str) -> ChampionRecord | None:
    """
    Raises:
        DamagedError: it is no champion of this model.
    """
    found = Champions(store).find(model)
    if found and not fault(found[0]) and found[0].model != model:
        raise DamagedError("it names another model")
    return found[0] if found else None


def _is_damage(error: StoreError) -> bool:
    """An object is missing or isn't what it should be, while the store works: trying again gives the same."""
    return isinstance(error, NotFoundError | DamagedError)
