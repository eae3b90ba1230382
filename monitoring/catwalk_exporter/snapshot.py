"""What the exporter has read from the ledger: summaries, champions, models, and the points that ended runs owe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from catwalk.errors import DamagedError, NotFoundError, StoreError
from catwalk.ledger.models import realised, watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries, points_are_due
from catwalk.ledger.validation import fault
from catwalk.replay.points import run_points
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

    def summary(self, run_id: str) -> SummaryRecord | None:
        """A run's summary, if there is one that can be trusted."""
        return next((summary for summary in self.summaries if summary.run_id == run_id), None)


class LedgerReader:
    """Reads the ledger, and remembers what need not be read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._summaries = Summaries(store)
        self._champions = Champions(store)
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
        champions, damaged = self._read_champions()
        models, damaged_models = self._read_each(watched.names, watched.watched, watched.key)
        scores, damaged_scores = self._read_each(realised.names, realised.realised, realised.key)
        damaged |= self._summaries.damaged | damaged_models | damaged_scores
        due = [summary for summary in summaries if points_are_due(summary, now)]
        uncounted = [summary for summary in due if not self._counted(summary)]

        def snapshot() -> Snapshot:
            counted = {summary.run_id: self._points[summary.run_id][1] for summary in due if self._has_points(summary)}
            broken = {
                f"runs/{run_id}": f"its points can't be counted: {reason}"
                for run_id, (_, reason) in self._damaged_runs.items()
            }
            return Snapshot(summaries, champions, counted, {**damaged, **broken}, models, scores)

        publish(snapshot())
        for summary in uncounted:
            self._count(summary)
        self._forget({summary.run_id for summary in due})
        if uncounted:
            publish(snapshot())

    def _read_champions(self) -> tuple[tuple[ChampionRecord, ...], dict[str, str]]:
        found, damaged = [], {}
        for model in self._champions.models():
            try:
                champion = self._champions.get(model)
            except StoreError as error:
                if not _is_damage(error):
                    raise
                damaged[f"champions/{model}.json"] = str(error)
                continue
            if champion:
                wrong = fault(champion[0]) or ("" if champion[0].model == model else "it names another model")
                if wrong:
                    damaged[f"champions/{model}.json"] = wrong
                else:
                    found.append(champion[0])
        return tuple(found), damaged

    def _read_each(
        self, names: Callable[[Store], list[str]], read: Callable[[Store, str], R | None], key: Callable[[str], str]
    ) -> tuple[tuple[R, ...], dict[str, str]]:
        """The records that there are a model, and what is damaged: key → why."""
        found, damaged = [], {}
        for model in names(self._store):
            try:
                record = read(self._store, model)
            except StoreError as error:
                if not _is_damage(error):
                    raise
                damaged[key(model)] = str(error)
                continue
            if record and fault(record):
                damaged[key(model)] = fault(record)
            elif record:
                found.append(record)
        return tuple(found), damaged

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


def _is_damage(error: StoreError) -> bool:
    """An object is missing or isn't what it should be, while the store works: trying again gives the same."""
    return isinstance(error, NotFoundError | DamagedError)
