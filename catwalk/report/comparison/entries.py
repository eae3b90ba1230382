"""What the ledger holds about each run that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import DamagedError
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.training import TrainingRecord
from catwalk.ledger.records.values import class_names
from catwalk.ledger.runs import Run
from catwalk.ledger.sweep import NOT_CHOSEN
from catwalk.problems import of_record
from catwalk.problems.answers import Answers
from catwalk.problems.answers import read as read_answers
from catwalk.problems.interface import Problem
from catwalk.problems.multiclass import Multiclass
from catwalk.report.facts import Part, Predictions, part, read_images, read_predictions
from catwalk.storage.store import Store

_READERS = 8
_NO_ANSWERS: Part[Answers] = Part(None)
_NO_IMAGES: Part[NDArray[np.uint8]] = Part(None, "The test images were not read.")


@dataclass(frozen=True)
class Entry:
    """One of the compared runs, with what its ledger holds."""

    run_id: str
    record: Part[RunRecord]
    summary: SummaryRecord | None
    dataset: Part[DatasetRecord]
    training: Part[TrainingRecord]
    evaluation: Part[EvaluationRecord]
    predictions: Part[Predictions]
    answers: Part[Answers] = _NO_ANSWERS
    """As in :class:`catwalk.report.facts.Facts`."""
    images: Part[NDArray[np.uint8]] = _NO_IMAGES
    """Its test images; read only for the baseline, and for runs whose classes differ from the baseline's."""

    @property
    def logs(self) -> bool:
        """Whether the run was logged by its program."""
        return self.record.value is not None and bool(self.record.value.problem)

    @cached_property
    def problem(self) -> Problem:
        """The kind of problem of the run; if it is unknown, that of the stages."""
        return of_record(self.record.value) if self.record.value else Multiclass()

    @property
    def scores(self) -> dict[str, float]:
        """The test's value of each metric."""
        return self.evaluation.value.scores if self.evaluation.value else {}

    @cached_property
    def classes(self) -> list[str]:
        """The names of its classes, in label order; empty if its answers are not classes."""
        if self.predictions.value:
            return self.predictions.value.classes
        if self.answers.value is None or self.problem.kind != "multiclass":
            return []
        recorded = self.record.get().classes
        return class_names(recorded, len(recorded) or int(self.answers.value.labels.max()) + 1)


def read_entries(store: Store, run_ids: Sequence[str]) -> list[Entry]:
    """Reads the runs, in this order.

    Raises:
        NotFoundError: one of them doesn't exist.
    """
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        entries = list(pool.map(lambda run_id: _read(Run(store, run_id)), run_ids))
    return _with_images(store, named(entries))


def named(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the runs. Runs of an older version, which stored no class names, take those of a run with as many
    classes.
    """
    recorded = [entry.evaluation.value.classes for entry in entries if entry.evaluation.value]

    def name(entry: Entry) -> Entry:
        found = entry.predictions.value
        if found is None or entry.evaluation.get().classes:
            return entry
        others = next((other for other in recorded if len(other) == len(found.classes)), [])
        return replace(entry, predictions=Part(replace(found, classes=others or found.classes)))

    return [name(entry) for entry in entries]


def _with_images(store: Store, entries: Sequence[Entry]) -> list[Entry]:
    def read(entry: Entry) -> Part[NDArray[np.uint8]]:
        if entry.logs:
            return Part(None)
        return part(lambda: read_images(store, entry.dataset.get(), entry.predictions.get()), "")

    first = entries[0]
    return [
        replace(entry, images=read(entry)) if entry is first or has_other_classes(entry, first) else entry
        for entry in entries
    ]


def has_other_classes(entry: Entry, baseline: Entry) -> bool:
    """Returns whether both have answers, and their classes differ."""
    mine, theirs = entry.predictions.value, baseline.predictions.value
    return mine is not None and theirs is not None and set(mine.classes) != set(theirs.classes)


def _read(run: Run) -> Entry:
    summary = part(run.summary, "").value
    passed_over = summary is not None and summary.reason == NOT_CHOSEN
    why = "It was not tested: another trial of its sweep was better." if passed_over else "It was never tested."
    evaluation, record = part(run.evaluation, why), _record(run)
    logs = record.value is not None and bool(record.value.problem)
    return Entry(
        run_id=run.run_id,
        record=record,
        summary=summary,
        dataset=part(run.dataset, "It has no dataset."),
        training=part(run.training, "It was never trained."),
        evaluation=evaluation,
        predictions=part(lambda: None if logs else read_predictions(run, evaluation), "" if logs else evaluation.why),
        answers=part(lambda: read_answers(run, evaluation.get()) if logs else None, ""),
    )


def _record(run: Run) -> Part[RunRecord]:
    """Reads the run's record, or why it can't be read.

    Raises:
        NotFoundError: there is no such run.
    """
    try:
        return Part(run.record)
    except DamagedError as error:
        return Part(None, str(error))
