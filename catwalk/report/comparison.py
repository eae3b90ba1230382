"""Two or more runs side by side: what sets them apart, and whether they differ by more than noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import CatwalkError, DamagedError
from catwalk.gate.decision import Discordance, holm
from catwalk.ledger.records import DatasetRecord, EvaluationRecord, RunRecord, SummaryRecord, TrainingRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.sweep import NOT_CHOSEN
from catwalk.report.facts import MissingError, Part, Predictions, part, read_images, read_predictions
from catwalk.report.statistics import Z_95
from catwalk.storage.store import Store
from ml.fashion_mnist.config import CLASSES

SIGNIFICANCE = 0.05
"""A difference whose corrected p-value is below this is called one."""
_READERS = 8


@dataclass(frozen=True)
class Entry:
    """One of the runs compared, as far as its ledger goes."""

    run_id: str
    record: Part[RunRecord]
    summary: SummaryRecord | None
    dataset: Part[DatasetRecord]
    training: Part[TrainingRecord]
    evaluation: Part[EvaluationRecord]
    predictions: Part[Predictions]


@dataclass(frozen=True)
class Difference:
    """How a run differs from the baseline on the same images."""

    value: float
    """Accuracy of the run less that of the baseline, as a ratio."""
    low: float
    high: float
    """Bounds of the paired difference's 95 % interval."""
    p: float
    """McNemar's exact test, two-sided, corrected for how many were made (Holm, 1979)."""
    only_run: int
    """Images that only this run has right."""
    only_baseline: int

    @property
    def significant(self) -> bool:
        """Whether it is more than noise."""
        return self.p < SIGNIFICANCE


@dataclass(frozen=True)
class Pair:
    """A run against the baseline."""

    run_id: str
    overall: Difference | None
    """Its p is corrected for the number of runs compared."""
    classes: dict[str, Difference]
    """Class → difference; p is corrected for the ten classes."""
    why: str = ""
    """Why there is no difference to give."""


@dataclass(frozen=True)
class Comparison:
    """What is known of all runs; the first is the baseline."""

    entries: list[Entry]
    pairs: list[Pair]
    """One for each run but the baseline."""
    parameters: dict[str, list[Any]]
    """What is not the same in all runs → its value in each; knobs, seed in force, dataset and code."""
    images: Part[NDArray[np.uint8]]
    """The baseline's test images, shape (n, 28, 28)."""

    @property
    def baseline(self) -> Entry:
        """The run that the others are measured against."""
        return self.entries[0]

    @property
    def comparable(self) -> list[Entry]:
        """The runs that were tested on the baseline's images, the baseline first."""
        usable = {pair.run_id for pair in self.pairs if pair.overall}
        return [entry for entry in self.entries if entry is self.baseline or entry.run_id in usable]


def compare(store: Store, run_ids: Sequence[str]) -> Comparison:
    """Reads and compares runs.

    Raises:
        CatwalkError: fewer than two runs, one run twice, or one that is not there.
    """
    if len(set(run_ids)) != len(run_ids):
        twice = next(run_id for run_id in run_ids if list(run_ids).count(run_id) > 1)
        raise CatwalkError(f"run {twice} is named twice; name each run once")
    if len(run_ids) < 2:
        raise CatwalkError("a comparison takes two runs or more; `catwalk runs` lists them")
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        entries = list(pool.map(lambda run_id: _read(Run(store, run_id)), run_ids))
    baseline = entries[0]
    images: Part[NDArray[np.uint8]] = part(
        lambda: read_images(store, baseline.dataset.get(), baseline.predictions.get()), ""
    )
    return Comparison(entries, compare_with_baseline(entries), differing_parameters(entries), images)


def _read(run: Run) -> Entry:
    summary = part(run.summary, "").value
    passed_over = summary is not None and summary.reason == NOT_CHOSEN
    why = "It was not tested: another trial of its sweep was better." if passed_over else "It was never tested."
    evaluation = part(run.evaluation, why)
    return Entry(
        run_id=run.run_id,
        record=_record(run),
        summary=summary,
        dataset=part(run.dataset, "It has no dataset."),
        training=part(run.training, "It was never trained."),
        evaluation=evaluation,
        predictions=part(lambda: read_predictions(run, evaluation), evaluation.why),
    )


def _record(run: Run) -> Part[RunRecord]:
    """
    Raises:
        NotFoundError: there is no such run.
    """
    try:
        return Part(run.record)
    except DamagedError as error:
        return Part(None, str(error))


def compare_with_baseline(entries: Sequence[Entry]) -> list[Pair]:
    """Each run but the first against the first."""
    baseline, *others = entries
    found: list[tuple[Entry, Discordance | None, dict[str, Difference], str]] = []
    for entry in others:
        try:
            mine = entry.predictions.get()
        except MissingError as reason:
            found.append((entry, None, {}, str(reason)))
            continue
        try:
            theirs = baseline.predictions.get()
        except MissingError as reason:
            found.append((entry, None, {}, f"The baseline can't be compared with. {reason}"))
            continue
        if not np.array_equal(mine.labels, theirs.labels):
            why = "It was tested on other images than the baseline, so their answers can't be compared one by one."
            found.append((entry, None, {}, why))
            continue
        overall = Discordance.of(mine.labels, mine.predicted, theirs.predicted)
        found.append((entry, overall, _by_class(mine, theirs), ""))
    corrected = iter(holm([overall.p_value for _, overall, _, _ in found if overall]))
    return [
        Pair(entry.run_id, _difference(overall, next(corrected)) if overall else None, classes, why)
        for entry, overall, classes, why in found
    ]


def _by_class(mine: Predictions, theirs: Predictions) -> dict[str, Difference]:
    against = {}
    for label, name in enumerate(CLASSES):
        of_class = mine.labels == label
        if of_class.any():
            against[name] = Discordance.of(mine.labels[of_class], mine.predicted[of_class], theirs.predicted[of_class])
    corrected = holm([found.p_value for found in against.values()])
    return {name: _difference(found, p) for (name, found), p in zip(against.items(), corrected, strict=True)}


def _difference(found: Discordance, p: float) -> Difference:
    return Difference(
        found.difference, found.bound(-Z_95), found.bound(Z_95), p, found.only_challenger, found.only_other
    )


def differing_parameters(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Knobs, seed in force, dataset and code that are not the same in all runs, with the value of each run; None where
    it is not known."""
    sources: dict[str, Callable[[Entry], Any]] = {
        "seed": lambda entry: entry.record.value and entry.record.value.seed,
        "dataset": lambda entry: entry.dataset.value and entry.dataset.value.sha256[:12],
        "code": lambda entry: entry.record.value and entry.record.value.code_sha256[:12],
    }
    flat = {entry.run_id: entry.record.value.parameters if entry.record.value else {} for entry in entries}
    names = dict.fromkeys(name for values in flat.values() for name in values if name != "seed")
    table = {name: [flat[entry.run_id].get(name) for entry in entries] for name in names}
    table |= {name: [read(entry) for entry in entries] for name, read in sources.items()}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}
