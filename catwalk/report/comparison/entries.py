"""What the ledger holds of each run that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import DamagedError
from catwalk.ledger.records import DatasetRecord, EvaluationRecord, RunRecord, SummaryRecord, TrainingRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.sweep import NOT_CHOSEN
from catwalk.report.facts import Part, Predictions, part, read_images, read_predictions
from catwalk.storage.store import Store

_READERS = 8
_NO_IMAGES: Part[NDArray[np.uint8]] = Part(None, "The test images were not read.")


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
    images: Part[NDArray[np.uint8]] = _NO_IMAGES
    """Its test images; read of the baseline, and of runs with other classes than the baseline's."""


def read_entries(store: Store, run_ids: Sequence[str]) -> list[Entry]:
    """The runs in this order.

    Raises:
        NotFoundError: one of them is not there.
    """
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        entries = list(pool.map(lambda run_id: _read(Run(store, run_id)), run_ids))
    return _with_images(store, named(entries))


def named(entries: Sequence[Entry]) -> list[Entry]:
    """The runs; those of an older version, which stored no names of classes, have those of a run with as many."""
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
        return part(lambda: read_images(store, entry.dataset.get(), entry.predictions.get()), "")

    first = entries[0]
    return [
        replace(entry, images=read(entry)) if entry is first or has_other_classes(entry, first) else entry
        for entry in entries
    ]


def has_other_classes(entry: Entry, baseline: Entry) -> bool:
    """Whether both have answers, about classes that are not the same."""
    mine, theirs = entry.predictions.value, baseline.predictions.value
    return mine is not None and theirs is not None and set(mine.classes) != set(theirs.classes)


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
