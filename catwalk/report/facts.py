"""Reads everything that a report shows from the ledger. A sentence says why something can't be read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from catwalk.errors import CatwalkError, NotFoundError, StoreUnavailableError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.sweep import SweepRecord
from catwalk.ledger.records.training import TrainingRecord
from catwalk.ledger.records.values import class_names
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries
from catwalk.ledger.sweep import NOT_CHOSEN, chosen
from catwalk.problems import of_record
from catwalk.problems.answers import Answers, Tested, paired, read
from catwalk.problems.interface import Problem
from catwalk.report.statistics import probabilities
from catwalk.storage.store import Store

T = TypeVar("T")
MOST_RUNS = 1_000
"""A chart of more runs would be unreadable."""
ONE_BY_ONE = 100
"""How many summaries are read with a request each: a long past should not slow a report down."""


class MissingError(Exception):
    """Something that a part of the report needs is missing. The message is the sentence that takes its place; empty if
    a run of this kind never has it, so that nothing takes its place.
    """


@dataclass(frozen=True)
class Part(Generic[T]):
    """Something that the ledger may hold."""

    value: T | None
    why: str = ""
    """The sentence to show if there is no value; empty if a run of this kind never has one."""

    def get(self) -> T:
        """Returns the value.

        Raises:
            MissingError: there is no value.
        """
        if self.value is None:
            raise MissingError(self.why)
        return self.value


@dataclass(frozen=True)
class Predictions:
    """A model's answers for all test examples."""

    labels: NDArray[np.int64]
    """The truth, shape (n,)."""
    logits: NDArray[np.float32]
    """Shape (n, classes)."""
    classes: list[str]
    """The names of the classes, in label order."""

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Class index of each example, shape (n,)."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Shape (n, classes)."""
        return probabilities(self.logits)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the predicted class, shape (n,)."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one, shape (n,)."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def truth(self) -> NDArray[np.str_]:
        """The name of each example's class, shape (n,): names are the same in all runs, but class indices may
        differ.
        """
        return np.array(self.classes, dtype=np.str_)[self.labels]

    def indices(self, names: Collection[str]) -> NDArray[np.intp]:
        """Returns the indices of the examples whose true class is one of these, ascending."""
        return np.flatnonzero(np.isin(self.labels, [label for label, name in enumerate(self.classes) if name in names]))

    def among(self, names: Collection[str]) -> Predictions:
        """Returns the predictions for those examples only; the model may still answer any class."""
        kept = self.indices(names)
        if len(kept) == len(self.labels):
            return self
        return replace(self, labels=self.labels[kept], logits=self.logits[kept])


@dataclass(frozen=True)
class Previews:
    """Pictures of test examples that were stored with the run."""

    indices: NDArray[np.int64]
    """Indices into all tested examples, shape (n,), the worst mistake first."""
    pictures: NDArray[np.uint8]
    """Shape (n, height, width), or (n, height, width, 3 or 4) in colour."""


@dataclass(frozen=True, eq=False)
class Common:
    """The answers of a run and its champion for the examples that both were tested on, in the same order."""

    ours: Answers
    theirs: Answers


@dataclass(frozen=True)
class Facts:
    """One run, with what its ledger holds."""

    run_id: str
    record: RunRecord
    summary: SummaryRecord
    dataset: Part[DatasetRecord]
    training: Part[TrainingRecord]
    evaluation: Part[EvaluationRecord]
    decision: Part[DecisionRecord]
    attempts: Part[list[AttemptRecord]]
    predictions: Part[Predictions] = Part(None)
    images: Part[NDArray[np.uint8]] = Part(None)
    """The test images, shape (n, height, width), or (n, height, width, 3 or 4) in colour."""
    champion_id: str = ""
    """The champion that the decision compared with; empty if there was none."""
    champion: Part[Predictions] = Part(None)
    """Its predictions on this run's test examples, its classes in this run's order."""
    champion_dataset: Part[DatasetRecord] = Part(None)
    past: list[SummaryRecord] = field(default_factory=list)
    """Runs of the same model, this one included, oldest first."""
    older: int = 0
    """How many runs of any model were left out, because there were too many to read."""
    sweep: SweepRecord | None = None
    """The choice of the sweep that this run is a trial of; None if there is no sweep, or it has not chosen yet."""
    in_service: ChampionRecord | None = None
    """The current champion, with its history."""
    previews: Part[Previews] = Part(None)
    """Pictures of its worst mistakes; neither a value nor a reason if it should have none."""
    champion_evaluation: Part[EvaluationRecord] = Part(None)
    answers: Part[Answers] = Part(None)
    """The answers of a run that logs, for all test examples; the stages store `predictions` instead."""
    common: Part[Common] = Part(None)
    """The same, with the champion's."""

    @property
    def logs(self) -> bool:
        """Whether the run was logged by its program, so that it has no stages, no stored data and no images."""
        return bool(self.record.problem)

    @cached_property
    def problem(self) -> Problem:
        """The kind of problem that the model solves.

        Raises:
            ConfigError: this version doesn't know the kind.
        """
        return of_record(self.record)


def read_facts(run: Run) -> Facts:
    """Reads everything that the report of a run shows.

    Raises:
        NotFoundError: there is no such run.
        StoreUnavailableError: S3 is unavailable.
    """
    record = run.record
    past, older = read_past(run.store, record.model)
    own = [summary for summary in past if summary.run_id == run.run_id]
    summary = own[0] if own else run.summary()
    if summary is None:
        raise NotFoundError(
            f"run {run.run_id} has no summary: it was interrupted while starting; run or trigger it again"
        )
    recorded = replace(_recorded(run, record, summary), past=past, older=older)
    return _with_champion(run, _with_answers(run, recorded))


def _recorded(run: Run, record: RunRecord, summary: SummaryRecord) -> Facts:
    """Reads the run's own records, and those of its sweep and its model."""
    stop, logs = _stop(summary), bool(record.problem)
    passed_over = summary.sentence if summary.reason == NOT_CHOSEN else ""
    return Facts(
        run_id=run.run_id,
        record=record,
        summary=summary,
        dataset=part(run.dataset, "" if logs else f"The dataset was never stored{stop}."),
        training=part(run.training, "" if logs else f"Training never started{stop}."),
        evaluation=part(run.evaluation, passed_over or f"The model was never tested{stop}."),
        decision=part(run.decision, passed_over or f"The gate has not decided{stop}."),
        attempts=part(run.attempts, "No stage has started."),
        sweep=part(lambda: chosen(run.store, record.sweep) if record.sweep else None, "").value,
        in_service=part(lambda: (Champions(run.store).get(record.model) or (None,))[0], "").value,
    )


def _with_answers(run: Run, facts: Facts) -> Facts:
    """Adds the model's answers for all test examples; for a run of the stages, also the examples."""
    evaluation = facts.evaluation
    facts = replace(facts, previews=part(lambda: read_previews(run, evaluation), ""))
    if facts.logs:
        return replace(facts, answers=part(lambda: read(run, evaluation.get()), evaluation.why))
    predictions = part(lambda: read_predictions(run, evaluation), evaluation.why)
    images = part(lambda: read_images(run.store, facts.dataset.get(), predictions.get()), "")
    return replace(facts, predictions=predictions, images=images)


def _with_champion(run: Run, facts: Facts) -> Facts:
    """Adds the champion that the decision compared with, or why there is none, or nothing to compare with."""
    decision = facts.decision.value
    why = "There was no champion to compare with." if decision else facts.decision.why
    if not decision or not decision.champion:
        none: Part[Any] = Part(None, why)
        of_logged = none if facts.logs else facts.common
        return replace(facts, champion=none, champion_dataset=none, champion_evaluation=none, common=of_logged)
    other = Run(run.store, decision.champion)
    return replace(
        facts,
        champion_id=other.run_id,
        champion=part(lambda: read_baseline(run, other.run_id, facts.predictions), why),
        champion_dataset=part(other.dataset, f"The champion {other.run_id} has no dataset record."),
        champion_evaluation=part(other.evaluation, why),
        common=part(lambda: read_common(run, facts.answers, other), why) if facts.logs else facts.common,
    )


def read_past(store: Store, model: str) -> tuple[list[SummaryRecord], int]:
    """Returns the summaries of a model's newest runs, oldest first, and how many runs of any model were left out.

    Damaged summaries are left out too: the exporter reports them.

    Raises:
        StoreError: S3 could not be read.
    """
    reader = Summaries(store)
    found = reader.read(newest=MOST_RUNS, one_by_one=ONE_BY_ONE)
    return [summary for summary in found if summary.model == model], reader.left_out


def _stop(summary: SummaryRecord) -> str:
    """Returns why later records are missing, as the end of a sentence."""
    if summary.state == "running":
        return f" yet: the run is in {summary.stage}" if summary.stage else " yet: the run has only just started"
    if summary.state == "succeeded":
        return ""
    return f": the run was {summary.state} before" if summary.state == "cancelled" else ": the run failed before"


def part(read: Callable[[], T | None], absent: str) -> Part[T]:
    """Returns the result of `read`, or why there is none.

    Raises:
        StoreUnavailableError: S3 is unavailable, which affects all parts.
    """
    try:
        value = read()
    except StoreUnavailableError:
        raise
    except (CatwalkError, MissingError) as error:
        return Part(None, _as_sentence(str(error)))
    except (ArithmeticError, LookupError, SafetensorError, TypeError, ValueError) as error:
        return Part(None, _as_sentence(f"It can't be read: {error}"))
    return Part(value, "" if value is not None else absent)


def _as_sentence(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        return ""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def read_predictions(run: Run, evaluation: Part[EvaluationRecord]) -> Predictions | None:
    """Returns a run's own predictions, which must match the recorded confusion matrix.

    Raises:
        MissingError: they are missing or damaged.
    """
    recorded = evaluation.get()
    arrays = _arrays(run.store, run.key("predictions.safetensors"))
    if not {"labels", "logits"} <= arrays.keys():
        raise MissingError("The run's predictions are damaged: labels or logits are not in the file.")
    n = len(recorded.confusion)
    labels = arrays["labels"].astype(np.int64).reshape(-1)
    found = Predictions(labels, arrays["logits"], class_names(recorded.classes, n))
    _check_logits(found.logits, (len(found.labels), n), "The run's predictions")
    if len(found.labels) and not (found.labels.min() >= 0 and found.labels.max() < n):
        raise MissingError("The run's predictions are damaged: a label is out of range.")
    confusion = np.bincount(found.labels * n + found.predicted, minlength=n * n).reshape(n, n)
    if confusion.tolist() != recorded.confusion:
        raise MissingError(
            "The run's predictions differ from those that were evaluated: the confusion matrix is not the same."
        )
    return found


def read_baseline(run: Run, other_id: str, own: Part[Predictions]) -> Predictions:
    """Returns another run's answers for this run's test examples (see :mod:`catwalk.gate.baselines`).

    Raises:
        MissingError: they are missing or damaged, or the model has different classes.
    """
    mine = own.get()
    arrays = _arrays(run.store, run.key(f"opponents/{other_id}.safetensors"))
    if "logits" not in arrays:
        raise MissingError("The champion's predictions are damaged: logits are not in the file.")
    logits = arrays["logits"]
    recorded = part(lambda: Run(run.store, other_id).record.classes, "").value or mine.classes
    if set(recorded) != set(mine.classes):
        raise MissingError("The champion's classes differ from this run's.")
    _check_logits(logits, (len(mine.labels), len(recorded)), "The champion's predictions")
    return replace(mine, logits=logits[:, [recorded.index(name) for name in mine.classes]])


def read_common(run: Run, answers: Part[Answers], other: Run) -> Common:
    """Returns the answers of two runs that log, for the examples that both were tested on.

    Raises:
        ArtifactError: the other run's answers are missing.
        MissingError: they can't be compared.
    """
    ours, theirs = Tested(run.record, answers.get()), Tested(other.record, read(other, other.evaluation()))
    pairs = paired(ours, theirs)
    if pairs.how != "keys":
        raise MissingError(pairs.sentence)
    return Common(ours.answers.at(pairs.rows), theirs.answers.at(pairs.others))


def _check_logits(logits: NDArray[np.float32], shape: tuple[int, int], whose: str) -> None:
    if logits.shape != shape:
        expected = f"{shape[0]:,} examples and {shape[1]} classes"
        raise MissingError(f"{whose} are damaged: their shape is {logits.shape}, which doesn't match {expected}.")
    if not np.isfinite(logits).all():
        raise MissingError(f"{whose} contain values that are not finite.")


def read_images(store: Store, dataset: DatasetRecord, predictions: Predictions) -> NDArray[np.uint8]:
    """Returns the test images of the predictions: uint8, shape (n, height, width), or with 3 or 4 colour channels.

    Raises:
        MissingError: the test split is missing, damaged or a different one; with an empty message if it holds no
            images.
    """
    key = f"datasets/{dataset.sha256}/test.safetensors"
    try:
        body = store.get(key).body
    except NotFoundError:
        raise MissingError(f"The test images are no longer in the store ({key}).") from None
    if hashlib.sha256(body).hexdigest() != dataset.files.get("test"):
        raise MissingError(f"The test images are damaged: {key} doesn't match its sha256.")
    arrays = load(body)
    if not np.array_equal(arrays["labels"].astype(np.int64), predictions.labels):
        raise MissingError("The test images in the store don't belong to the predictions.")
    return _pictures(arrays.get("images"), "")


def read_previews(run: Run, evaluation: Part[EvaluationRecord]) -> Previews | None:
    """Returns the pictures that were stored when the run was tested; None if it should have none.

    Raises:
        MissingError: they are missing or damaged.
    """
    recorded = evaluation.value.previews_sha256 if evaluation.value else ""
    if not recorded:
        return None
    key = run.key("previews.safetensors")
    stored = run.store.find(key)
    if stored is None:
        raise MissingError(f"The previews are no longer in the store ({key}).")
    if hashlib.sha256(stored.body).hexdigest() != recorded:
        raise MissingError(f"The previews are damaged: {key} doesn't match its sha256.")
    arrays = load(stored.body)
    damaged = f"The previews are damaged: {key} contains no pictures."
    return Previews(arrays["indices"].astype(np.int64), _pictures(arrays.get("pictures"), damaged))


def _pictures(found: NDArray[np.float32] | None, otherwise: str) -> NDArray[np.uint8]:
    if (
        found is None
        or found.dtype != np.uint8
        or not (found.ndim == 3 or (found.ndim == 4 and found.shape[3] in (3, 4)))
    ):
        raise MissingError(otherwise)
    return np.asarray(found, dtype=np.uint8)


def _arrays(store: Store, key: str) -> dict[str, NDArray[np.float32]]:
    try:
        return load(store.get(key).body)
    except NotFoundError:
        raise MissingError(f"The object {key} is no longer in the store.") from None
    except (SafetensorError, ValueError) as error:
        raise MissingError(f"The object {key} is damaged: {error}.") from error
