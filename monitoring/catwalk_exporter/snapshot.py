"""What the exporter has read from the ledger: summaries, champions, models, and the expected points of ended runs."""

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
    """The number of points in the ledger by run id, for runs that ended recently."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Damaged objects, each with the reason."""
    models: tuple[WatchedRecord, ...] = ()
    """What is known about models besides their runs."""
    realised: tuple[RealisedRecord, ...] = ()
    """The quality of models in service."""
    slots: tuple[SlotRecord, ...] = ()
    """What alerts may request, and have requested."""

    def summary(self, run_id: str) -> SummaryRecord | None:
        """Returns a run's summary, if there is an undamaged one."""
        return next((summary for summary in self.summaries if summary.run_id == run_id), None)


class _Records(Generic[R]):
    """Records below a prefix, one per model. A record is read once, and again when its ETag has changed."""

    def __init__(self, store: Store, prefix: str, find: Callable[[Store, str], R | None]) -> None:
        self._store, self._prefix, self._find = store, prefix, find
        self._known: dict[str, tuple[str, R | str]] = {}
        """For each key, the ETag, and the record or why it is damaged."""

    def read(self) -> tuple[tuple[R, ...], dict[str, str]]:
        """Returns the records, and the damaged keys, each with the reason."""
        listed = {entry.key: entry.etag for entry in self._store.list(self._prefix)}
        self._known = {key: known for key, known in self._known.items() if known[0] == listed.get(key)}
        for key in listed.keys() - self._known.keys():
            found = self._record(key)
            if found is not None:
                self._known[key] = listed[key], found
        readings = [(key, self._known[key][1]) for key in listed if key in self._known]
        damaged = {key: one for key, one in readings if isinstance(one, str)}
        return tuple(one for _, one in readings if not isinstance(one, str)), damaged

    def _record(self, key: str) -> R | str | None:
        """Returns None if it no longer exists."""
        try:
            found = self._find(self._store, of_key(key, self._prefix))
        except StoreError as error:
            if not _is_damage(error):
                raise
            return str(error)
        return (fault(found) or found) if found else None


class LedgerReader:
    """Reads the ledger, and remembers what it doesn't need to read again."""

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
        """Reads everything; publishes as soon as the summaries are read, and again after points were counted.

        Counting reads several objects of each run that has just ended. After a sweep this takes a while, and the states
        should not wait for it.

        Raises:
            StoreError: the store could not be read. Earlier publications stay valid.
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
        DamagedError: it is not the champion of this model.
    """
    found = Champions(store).find(model)
    if found and not fault(found[0]) and found[0].model != model:
        raise DamagedError("it names a different model")
    return found[0] if found else None


def _is_damage(error: StoreError) -> bool:
    """Returns whether an object is missing or damaged while the store works, so that a retry gives the same result."""
    return isinstance(error, NotFoundError | DamagedError)
