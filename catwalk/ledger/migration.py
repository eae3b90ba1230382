"""Migrates records of an older version: they get the fields that they lack, and keep all their fields, because the
version that wrote them needs those.

The function for a kind of record takes plain JSON values and returns the migrated ones; equal values are up to date. It
doesn't depend on models: the caller passes the Trainable of a run and its class names. Records without either (epochs,
decisions, attempts, champions) don't change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from catwalk.codec import from_json, to_json
from catwalk.errors import DamagedError
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import Origin, RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import class_names
from catwalk.ledger.runs import summary_key
from catwalk.storage.store import Store, Stored
from catwalk.storage.swap import swap

Values = dict[str, Any]


def migrated_run(values: Values, origin: Origin) -> Values:
    """``run.json`` with its Trainable, the defaults of its knobs, and its class names."""
    named = _with_classes(values, origin)
    trainable, defaults = values.get("trainable") or origin.trainable, values.get("defaults") or dict(origin.defaults)
    return {**named, "trainable": trainable, "defaults": defaults}


def _with_classes(values: Values, origin: Origin) -> Values:
    return {**values, "classes": values.get("classes") or list(origin.classes)}


def migrated_dataset(values: Values, origin: Origin) -> Values:
    """``dataset.json`` or ``manifest.json`` with its class names, and its statistics by name.

    Raises:
        ValueError: It has another number of classes.
    """
    for split in values["splits"].values():
        class_names(list(origin.classes), len(split["class_counts"]))
    return DatasetRecord.upgraded(_with_classes(values, origin))


def migrated_evaluation(values: Values, origin: Origin) -> Values:
    """``evaluation.json`` with its class names.

    Raises:
        ValueError: It has another number of classes.
    """
    class_names(list(origin.classes), len(values["class_accuracy"]))
    return _with_classes(values, origin)


def migrated_summary(values: Values, origin: Origin) -> Values:
    """``summaries/<run_id>.json`` with its class names, its dataset's statistics by name, and its stages as records."""
    return SummaryRecord.upgraded(_with_classes(values, origin))


@dataclass(frozen=True)
class Step:
    """The migration of a kind of record."""

    kind: type
    migrated: Callable[[Values, Origin], Values]


_RUN, _DATASET = Step(RunRecord, migrated_run), Step(DatasetRecord, migrated_dataset)
_EVALUATION, _SUMMARY = Step(EvaluationRecord, migrated_evaluation), Step(SummaryRecord, migrated_summary)


@dataclass(frozen=True)
class Migrated:
    """The outcome for one run."""

    run_id: str
    model: str = ""
    """The run's model; empty if its summary is unreadable."""
    outdated: list[str] = field(default_factory=list)
    """Keys of the records that were migrated, or would be."""
    waits: bool = False
    """Whether the run is still running, so that its version would overwrite the migrated records."""
    damaged: str = ""
    """Why the run is unchanged; empty if nothing is wrong."""

    @property
    def is_current(self) -> bool:
        """Whether nothing had to be done."""
        return not (self.outdated or self.waits or self.damaged)


@dataclass(frozen=True)
class Migration:
    """Migrates runs one by one. You can interrupt it at any time: the next migration skips what is up to date."""

    store: Store
    origin: Callable[[RunRecord], Origin | None]
    """The origin of a run; None if the run doesn't need a migration."""
    runs_on: Callable[[SummaryRecord], bool]
    """Whether a run may still write its records."""
    dry: bool = False
    """Whether to only find out what is outdated."""

    def migrate(self, run_id: str) -> Migrated:
        """Migrates a run's records, its summary last: if that is up to date, all are.

        A damaged record doesn't raise; its run stays unchanged.

        Raises:
            StoreError: The store fails.
        """
        try:
            found = self.store.find_record(SummaryRecord, summary_key(run_id))
        except DamagedError as error:
            return Migrated(run_id, damaged=str(error))
        if found is None:  # it was removed after the listing
            return Migrated(run_id)
        try:
            return self._migrate(found[0])
        except DamagedError as error:
            return Migrated(run_id, found[0].model, damaged=str(error))

    def _migrate(self, summary: SummaryRecord) -> Migrated:
        run_id, key = summary.run_id, summary_key(summary.run_id)
        record = self.store.find_record(RunRecord, f"runs/{run_id}/run.json") if not summary.classes else None
        origin = self.origin(record[0]) if record else None
        if origin is None or not self._outdated(key, _SUMMARY, origin):
            return Migrated(run_id, summary.model)
        if self.runs_on(summary):
            return Migrated(run_id, summary.model, waits=True)
        steps = {**self._steps(run_id), key: _SUMMARY}
        outdated = {name: step for name, step in steps.items() if self._outdated(name, step, origin)}
        for name, step in outdated.items():
            self._rewrite(name, step, origin)
        return Migrated(run_id, summary.model, list(outdated))

    def _steps(self, run_id: str) -> dict[str, Step]:
        """Key of each record except the summary → its migration."""
        folder = f"runs/{run_id}"
        dataset = self.store.find_record(DatasetRecord, f"{folder}/dataset.json")
        shared = {f"datasets/{dataset[0].sha256}/manifest.json": _DATASET} if dataset else {}
        own = {"run.json": _RUN, "dataset.json": _DATASET, "evaluation.json": _EVALUATION}
        return {**shared, **{f"{folder}/{name}": step for name, step in own.items()}}

    def _outdated(self, key: str, step: Step, origin: Origin) -> bool:
        found = self.store.find(key)
        return found is not None and _renewed(key, found, step, origin) is not None

    def _rewrite(self, key: str, step: Step, origin: Origin) -> None:
        """Replaces the current record, unless another writer has changed it since."""

        def once() -> None:
            found = self.store.find(key)
            body = _renewed(key, found, step, origin) if found else None
            if found and body:
                self.store.put(key, body, if_match=found.etag)

        if not self.dry:
            swap(key, once)


def _renewed(key: str, stored: Stored, step: Step, origin: Origin) -> bytes | None:
    """The migrated record; None if it is up to date.

    Raises:
        DamagedError: It is not such a record.
    """
    try:
        from_json(step.kind, stored.body)
        values = json.loads(stored.body)
        renewed = step.migrated(values, origin)
    except ValueError as error:
        raise DamagedError(f"{key} is damaged: {error}") from error
    return None if renewed == values else to_json(renewed)
