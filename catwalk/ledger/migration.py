"""Brings what an older version has stored up to date: records get the fields that they lack, and lose none, for the
version that wrote them wants those that they have.

The function of a kind of record takes plain JSON values and returns what they should be; equal values are up to date.
It knows no model: whoever calls says what its classes are called. What names no class (epochs, decisions, attempts,
champions) stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catwalk.codec import from_json, to_json
from catwalk.errors import DamagedError
from catwalk.ledger.records import DatasetRecord, EvaluationRecord, RunRecord, SummaryRecord, class_names
from catwalk.ledger.runs import summary_key
from catwalk.storage.store import Store, Stored
from catwalk.storage.swap import swap

Values = dict[str, Any]


def migrated_run(values: Values, classes: Sequence[str]) -> Values:
    """``run.json`` with the names of its classes."""
    return {**values, "classes": values.get("classes") or list(classes)}


def migrated_dataset(values: Values, classes: Sequence[str]) -> Values:
    """``dataset.json`` or ``manifest.json`` with the names of its classes, and its statistics by name.

    Raises:
        ValueError: it has another number of classes.
    """
    for split in values["splits"].values():
        class_names(list(classes), len(split["class_counts"]))
    return DatasetRecord.upgraded(migrated_run(values, classes))


def migrated_evaluation(values: Values, classes: Sequence[str]) -> Values:
    """``evaluation.json`` with the names of its classes.

    Raises:
        ValueError: it has another number of classes.
    """
    class_names(list(classes), len(values["class_accuracy"]))
    return migrated_run(values, classes)


def migrated_summary(values: Values, classes: Sequence[str]) -> Values:
    """``summaries/<run_id>.json`` with the names of its classes, its dataset's statistics by name, its stages as
    records."""
    return SummaryRecord.upgraded(migrated_run(values, classes))


@dataclass(frozen=True)
class Step:
    """How a kind of record is migrated."""

    kind: type
    migrated: Callable[[Values, Sequence[str]], Values]


_RUN, _DATASET = Step(RunRecord, migrated_run), Step(DatasetRecord, migrated_dataset)
_EVALUATION, _SUMMARY = Step(EvaluationRecord, migrated_evaluation), Step(SummaryRecord, migrated_summary)


@dataclass(frozen=True)
class Migrated:
    """What became of one run."""

    run_id: str
    model: str = ""
    """Empty: its summary can't be read."""
    outdated: list[str] = field(default_factory=list)
    """Keys of the records that were brought up to date, or would be."""
    waits: bool = False
    """It still runs, and its version would undo what is written now."""
    damaged: str = ""
    """Why it stays as it is; empty: nothing is wrong."""

    @property
    def is_current(self) -> bool:
        """Nothing had to be done."""
        return not (self.outdated or self.waits or self.damaged)


@dataclass(frozen=True)
class Migration:
    """Migrates runs one by one. It may be killed at any moment: the next one leaves alone what is up to date."""

    store: Store
    classes: Mapping[str, Sequence[str]]
    """Model → names of its classes in label order. Runs of other models need nothing."""
    runs_on: Callable[[SummaryRecord], bool]
    """Whether a run may still write its records."""
    dry: bool = False
    """Only find out what is outdated."""

    def migrate(self, run_id: str) -> Migrated:
        """Brings a run's records up to date, its summary last: where that is, all are.

        A damaged record raises nothing; its run stays as it is.

        Raises:
            StoreError: S3 fails.
        """
        try:
            found = self.store.find_record(SummaryRecord, summary_key(run_id))
        except DamagedError as error:
            return Migrated(run_id, damaged=str(error))
        if found is None:  # removed since it was listed
            return Migrated(run_id)
        try:
            return self._migrate(found[0])
        except DamagedError as error:
            return Migrated(run_id, found[0].model, damaged=str(error))

    def _migrate(self, summary: SummaryRecord) -> Migrated:
        run_id, key, classes = summary.run_id, summary_key(summary.run_id), self.classes.get(summary.model)
        if classes is None or not self._outdated(key, _SUMMARY, classes):
            return Migrated(run_id, summary.model)
        if self.runs_on(summary):
            return Migrated(run_id, summary.model, waits=True)
        steps = {**self._steps(run_id), key: _SUMMARY}
        outdated = {name: step for name, step in steps.items() if self._outdated(name, step, classes)}
        for name, step in outdated.items():
            self._rewrite(name, step, classes)
        return Migrated(run_id, summary.model, list(outdated))

    def _steps(self, run_id: str) -> dict[str, Step]:
        """Key of each record but the summary → how it is migrated."""
        folder = f"runs/{run_id}"
        dataset = self.store.find_record(DatasetRecord, f"{folder}/dataset.json")
        shared = {f"datasets/{dataset[0].sha256}/manifest.json": _DATASET} if dataset else {}
        own = {"run.json": _RUN, "dataset.json": _DATASET, "evaluation.json": _EVALUATION}
        return {**shared, **{f"{folder}/{name}": step for name, step in own.items()}}

    def _outdated(self, key: str, step: Step, classes: Sequence[str]) -> bool:
        found = self.store.find(key)
        return found is not None and _renewed(key, found, step, classes) is not None

    def _rewrite(self, key: str, step: Step, classes: Sequence[str]) -> None:
        """Replaces what is there now, and nothing that somebody has written since."""

        def once() -> None:
            found = self.store.find(key)
            body = _renewed(key, found, step, classes) if found else None
            if found and body:
                self.store.put(key, body, if_match=found.etag)

        if not self.dry:
            swap(key, once)


def _renewed(key: str, stored: Stored, step: Step, classes: Sequence[str]) -> bytes | None:
    """A record as it should be; None: it is so already.

    Raises:
        DamagedError: it is no such record.
    """
    try:
        from_json(step.kind, stored.body)
        values = json.loads(stored.body)
        renewed = step.migrated(values, classes)
    except ValueError as error:
        raise DamagedError(f"{key} is damaged: {error}") from error
    return None if renewed == values else to_json(renewed)
