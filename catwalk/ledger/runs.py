"""The run ledger in S3: the configuration of each run, what it did, and its results.

Several attempts of one stage can be alive at once, because a killed supervisor leaves its child behind. So each object
has a rule that makes one of them win: it is written once (``run.json``, attempts, evaluation, decision), or fenced by
the attempt's number (``epochs.json``, the checkpoint): see :class:`Fence`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

from catwalk.errors import CatwalkError, NotFoundError, PreconditionFailedError, RunConflictError, SupersededError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord, Stage
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.training import EpochSegment, ModelRecord, TrainingRecord
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

R = TypeVar("R")
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
SUMMARIES = "summaries/"
"""The prefix of all summaries."""


def summary_key(run_id: str) -> str:
    """The key of a run's summary."""
    return f"{SUMMARIES}{run_id}.json"


def run_id_of_dag_run(run_after: datetime, dag_id: str, dag_run_id: str, map_index: int = -1) -> str:
    """The run id of a DAG run: the same in every attempt, sortable by time, safe in a StatsD tag."""
    digest = hashlib.sha256(f"{dag_id}\0{dag_run_id}\0{map_index}".encode()).hexdigest()
    return f"{run_after.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest[:8]}"


def new_run_id() -> str:
    """A run id for a run without Airflow: now and eight random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def seed_of(run_id: str) -> int:
    """The seed of a run without a configured one: it differs each night, and is the same in every attempt."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")


@dataclass
class Run:
    """One run's folder in the ledger."""

    store: Store
    run_id: str

    def key(self, name: str) -> str:
        """The key of an object of this run."""
        return f"runs/{self.run_id}/{name}"

    @cached_property
    def record(self) -> RunRecord:
        """The run's configuration; it never changes.

        Raises:
            NotFoundError: The run does not exist.
        """
        try:
            return self.store.get_record(RunRecord, self.key("run.json"))[0]
        except NotFoundError:
            raise NotFoundError(f"there is no run {self.run_id}; `catwalk runs` lists the runs") from None

    def dataset(self) -> DatasetRecord | None:
        """The run's dataset; None until ingest has finished."""
        return self._find(DatasetRecord, "dataset.json")

    def training(self) -> TrainingRecord | None:
        """The run's training; None until it has started."""
        found = self._find(TrainingRecord, "epochs.json")
        if found is None or not found.sealed:
            return found
        segments = [self.store.get_record(EpochSegment, self.key(name))[0] for name in found.sealed]
        return replace(found, epochs=[*(epoch for segment in segments for epoch in segment.epochs), *found.epochs])

    def model(self) -> ModelRecord | None:
        """The model of a run that logs; None if it has none, or the stages stored it."""
        return self._find(ModelRecord, "model.json")

    def evaluation(self) -> EvaluationRecord | None:
        """The test's result; None until the model was tested."""
        return self._find(EvaluationRecord, "evaluation.json")

    def decision(self) -> DecisionRecord | None:
        """The decision; None until the gate has decided."""
        return self._find(DecisionRecord, "decision.json")

    def summary(self) -> SummaryRecord | None:
        """The run's summary, for tables."""
        found = self.store.find_record(SummaryRecord, summary_key(self.run_id))
        return found[0] if found else None

    def _find(self, kind: type[R], name: str) -> R | None:
        found = self.store.find_record(kind, self.key(name))
        return found[0] if found else None

    def attempts(self) -> list[AttemptRecord]:
        """Every attempt of every stage, in the order in which they started."""
        entries = list(self.store.list(self.key("attempts/")))
        records = [self.store.get_record(AttemptRecord, entry.key)[0] for entry in entries]
        return sorted(records, key=lambda record: (record.started, record.number))

    def put_once(self, name: str, record: R) -> R:
        """Writes a record unless one exists; returns the stored one."""
        try:
            self.store.put_record(self.key(name), record, create=True)
            return record
        except PreconditionFailedError:
            return self.store.get_record(type(record), self.key(name))[0]

    def start_attempt(self, stage: Stage, started: float, host: str, pid: int) -> AttemptRecord:
        """Takes the next free number of this stage; concurrent callers get different numbers."""
        prefix = self.key(f"attempts/{stage}-")

        def step() -> AttemptRecord:
            taken = [int(entry.key[len(prefix) : -len(".json")]) for entry in self.store.list(prefix)]
            record = AttemptRecord(stage, max(taken, default=0) + 1, started, host, pid)
            self.store.put_record(f"{prefix}{record.number}.json", record, create=True)
            return record

        return swap(f"the list of attempts of run {self.run_id}", step)

    def end_attempt(self, record: AttemptRecord) -> None:
        """Stores how an attempt ended."""
        self.store.put_record(self.key(f"attempts/{record.stage}-{record.number}.json"), record)

    def update_summary(
        self, change: Callable[[SummaryRecord], SummaryRecord], check: Callable[[], None] = lambda: None
    ) -> SummaryRecord:
        """Changes the summary by compare-and-swap, so that concurrent changes are not lost.

        Args:
            change: Returns the new summary for the stored one.
            check: See :func:`catwalk.storage.swap.swap`.
        """
        key = summary_key(self.run_id)

        def step() -> SummaryRecord:
            found = self.store.find_record(SummaryRecord, key)
            summary = change(found[0] if found else _first_summary(self.record))
            # If two writers wrote the same bytes, both would believe that the write was theirs.
            summary = replace(summary, write=secrets.token_hex(8))
            self.store.put_record(key, summary, if_match=found[1] if found else None, create=found is None)
            return summary

        return swap(f"the summary of run {self.run_id}", step, check)


def _first_summary(record: RunRecord) -> SummaryRecord:
    return SummaryRecord(
        run_id=record.run_id,
        model=record.model,
        trigger=record.trigger,
        synthetic=record.synthetic,
        dag_id=record.dag_id,
        dag_run_id=record.dag_run_id,
        sweep=record.sweep,
        schedule=record.schedule,
        git_commit=record.git_commit,
        seed=record.seed,
        parameters=record.parameters,
        series_left_out=record.series_left_out,
        classes=record.classes,
        problem=str(record.problem.get("kind", "")),
        ships=record.ships,
        alert=record.alert,
        episode=record.episode,
        owner=record.owner,
        links=record.links,
        unit=str(record.problem.get("unit", "")),
        state="running",
        started=record.created,
        updated=record.created,
    )


@dataclass
class Fence:
    """Writes one object on behalf of one attempt, so that the highest attempt wins.

    Each write has an If-Match with this attempt's last ETag. A refused attempt reads the object: a higher attempt
    number means that this attempt is superseded; its own or a lower number is replaced. The bytes must differ between
    attempts (they contain the number), or equal ETags would let a superseded attempt through.
    """

    store: Store
    key: str
    attempt: int
    read_attempt: Callable[[bytes], int]
    etag: str | None = None
    check: Callable[[], None] = lambda: None
    """Called between two attempts to write, see :func:`catwalk.storage.swap.swap`."""

    def write(self, body: bytes) -> None:
        """Replaces the object.

        Raises:
            SupersededError: A newer attempt has written it.
            StoreError: It can't be written.
        """
        swap(self.key, lambda: self._try(body), self.check)

    def _try(self, body: bytes) -> None:
        try:
            self.etag = self.store.put(self.key, body, if_match=self.etag, create=self.etag is None)
        except PreconditionFailedError:
            found = self.store.find(self.key)
            if found and self.read_attempt(found.body) > self.attempt:
                raise SupersededError(
                    f"attempt {self.attempt} was superseded by attempt {self.read_attempt(found.body)} of the same "
                    "stage; this one stops"
                ) from None
            self.etag = found.etag if found else None
            raise


@dataclass
class Ledger:
    """All runs of a store."""

    store: Store

    def run(self, run_id: str) -> Run:
        """A run by its id; it need not exist until it is read.

        Raises:
            CatwalkError: This is not a run id.
        """
        if not RUN_ID.fullmatch(run_id):
            raise CatwalkError(
                f"{run_id!r} is not a run id, such as 20261123T030000Z-7f3a90c1; `catwalk runs` lists the runs"
            )
        return Run(self.store, run_id)

    def create(self, record: RunRecord) -> Run:
        """Opens a run, or the same run again in a later attempt.

        Raises:
            RunConflictError: The run exists and was started by other code or with other parameters.
        """
        run = Run(self.store, record.run_id)
        existing = run.put_once("run.json", record)
        check_code(existing, record.code_sha256)
        if existing.config != record.config:
            before, now = existing.parameters, record.parameters
            changed = ", ".join(
                f"{name} {before.get(name)!r} → {now.get(name)!r}"
                for name in {**before, **now}
                if before.get(name) != now.get(name)
            )
            raise RunConflictError(
                f"run {record.run_id} was started with other parameters ({changed}); a run has one configuration: "
                "trigger a new one instead"
            )
        return run


def check_code(record: RunRecord, code_sha256: str) -> None:
    """Refuses to continue a run with other code than it was started with.

    Raises:
        RunConflictError: The code has changed since.
    """
    if record.code_sha256 != code_sha256:
        raise RunConflictError(
            f"run {record.run_id} was started by other code (sha256 {record.code_sha256[:8]}, now {code_sha256[:8]}); "
            "a run has one configuration: trigger a new one instead"
        )


def with_training(summary: SummaryRecord, record: TrainingRecord) -> SummaryRecord:
    """A summary with the figures of a training that has at least one epoch."""
    from statistics import median  # its import takes as long as all others of this module

    last, best, losses = record.epochs[-1], record.best, record.train_losses
    return replace(
        summary,
        epochs=len(record.epochs),
        last_epoch=last.epoch,
        axis=record.axis,
        reproducible=record.reproducible,
        last_validation_loss=last.validation_loss,
        last_validation_accuracy=last.validation_accuracy,
        best_epoch=best.epoch if best else None,
        best_validation_loss=best.validation_loss if best else None,
        best_train_loss=min(losses, default=None),
        median_train_loss=median(losses) if losses else None,
    )


def with_dataset(summary: SummaryRecord, record: DatasetRecord) -> SummaryRecord:
    """A summary with the run's dataset."""
    return replace(summary, dataset_sha256=record.sha256, statistics=record.statistics, as_of=record.as_of)


def with_evaluation(summary: SummaryRecord, record: EvaluationRecord) -> SummaryRecord:
    """A summary with the test's results."""
    return replace(
        summary,
        test_accuracy=record.accuracy,
        test_loss=record.loss,
        test_calibration_error=record.calibration_error,
        test_class_accuracy=record.class_accuracy,
    )


def with_decision(summary: SummaryRecord, record: DecisionRecord) -> SummaryRecord:
    """A summary with the decision."""
    return replace(
        summary,
        decision=record.decision,
        reason=record.reason,
        sentence=record.sentence,
        decided=record.finished,
        checks=record.checks,
    )


def touched(summary: SummaryRecord, now: float) -> SummaryRecord:
    """A summary with the time of its last change."""
    return replace(summary, updated=max(now, summary.updated))
