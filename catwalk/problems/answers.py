"""A model's answers for all test examples, as a run stores them: enough to compare it with any later model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catwalk.errors import ArtifactError
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.runs import Run
from catwalk.problems.arrays import Floats
from catwalk.problems.interface import Outcome
from catwalk.problems.paired.pairing import Keyed, Pairs, pair

Keys = NDArray[np.uint64]
"""A digest of each example's key, (n,)."""
NAME = "outcome.safetensors"
_SAME = 1e-6
"""The relative tolerance of labels: the same number in float32 differs by less."""
MOST_EXAMPLES = 2_000_000
"""The most stored examples. If there are more, those with the smallest keys are stored, the same in each run, or
without keys, the first.
"""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers to n test examples."""

    labels: NDArray[Any]
    """Shape (n,)."""
    predictions: NDArray[Any]
    """Shape (n,)."""
    loss: Floats
    """Shape (n,)."""
    keys: Keys | None
    """Shape (n,); None if the examples have no keys."""
    slices: Mapping[str, NDArray[Any]]
    """The value of each example by slice, (n,) each."""

    @classmethod
    def of(cls, outcome: Outcome, keys: Keys | None, slices: Mapping[str, NDArray[Any]]) -> Answers:
        """Returns the answers of an outcome that are stored."""
        count = len(outcome.labels)
        rows: NDArray[np.int64] | slice = slice(None)
        if count > MOST_EXAMPLES:
            rows = slice(MOST_EXAMPLES) if keys is None else np.sort(np.argsort(keys)[:MOST_EXAMPLES])
        return cls(outcome.labels, outcome.predictions, outcome.loss, keys, slices).at(rows)

    def outcome(self, metrics: Mapping[str, float]) -> Outcome:
        """Returns an outcome for the gate, which needs only losses and labels."""
        return Outcome(self.labels, self.predictions.astype(np.float64), self.predictions, self.loss, metrics)

    def at(self, rows: NDArray[np.int64] | slice) -> Answers:
        """Returns the answers for the examples in these rows, (m,), in their order."""
        return Answers(
            self.labels[rows],
            self.predictions[rows],
            self.loss[rows],
            None if self.keys is None else self.keys[rows],
            {name: values[rows] for name, values in self.slices.items()},
        )

    def packed(self) -> bytes:
        """Returns them as safetensors bytes."""
        arrays = {"labels": self.labels, "predictions": self.predictions, "loss": self.loss}
        if self.keys is not None:
            arrays["keys"] = self.keys
        words: dict[str, list[str]] = {}
        for number, (name, values) in enumerate(self.slices.items()):
            found, codes = np.unique(values.astype(str), return_inverse=True)
            words[name] = found.tolist()
            arrays[f"slice{number}"] = codes.astype(np.uint16)
        return save(
            {name: np.ascontiguousarray(values) for name, values in arrays.items()}, {"slices": json.dumps(words)}
        )


def unpacked(body: bytes) -> Answers:
    """Reads stored answers.

    Raises:
        ArtifactError: they are damaged.
    """
    try:
        arrays = load(body)
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        words = json.loads(header["__metadata__"]["slices"])
        slices = {
            name: np.asarray(values, dtype=object)[arrays[f"slice{number}"]]
            for number, (name, values) in enumerate(words.items())
        }
        return Answers(arrays["labels"], arrays["predictions"], arrays["loss"], arrays.get("keys"), slices)
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"the answers of its test are damaged: {error}") from error


def read(run: Run, evaluation: EvaluationRecord | None) -> Answers:
    """Returns the answers of a run's test.

    Raises:
        ArtifactError: it has none, or they don't match their record.
    """
    if evaluation is None or not evaluation.outcome_sha256:
        raise ArtifactError(f"run {run.run_id} has not stored its answers by example")
    stored = run.store.find(run.key(NAME))
    if stored is None or hashlib.sha256(stored.body).hexdigest() != evaluation.outcome_sha256:
        raise ArtifactError(f"{run.key(NAME)} is missing, or doesn't match its sha256")
    return unpacked(stored.body)


@dataclass(frozen=True, eq=False)
class Tested:
    """A run that has logged its test."""

    record: RunRecord
    answers: Answers

    @property
    def question(self) -> tuple[Any, ...]:
        """What must be equal for two losses to be comparable."""
        asked = self.record.problem
        return asked.get("kind"), asked.get("metric"), asked.get("clip") if asked.get("metric") == "log_loss" else None


def paired(ours: Tested, theirs: Tested) -> Pairs:
    """Pairs the answers of two runs to the same examples; if there are none, the sentence says why."""
    other = theirs.record
    if ours.question != theirs.question:
        asked = theirs.question[0] or "a Trainable’s"
        return incomparable(f"run {other.run_id} has a different kind of problem ({asked})")
    if ours.answers.keys is None or theirs.answers.keys is None:
        whose = "this run's" if ours.answers.keys is None else f"run {other.run_id}'s"
        return incomparable(f"{whose} test examples have no keys; give keys=, inputs= or test_set=")
    found = _pair(ours.answers, theirs.answers, np.arange(len(theirs.answers.keys)))
    others = _of_another_truth(ours, theirs, found)
    if len(others):
        again = _pair(ours.answers, theirs.answers, np.delete(np.arange(len(theirs.answers.keys)), others))
        return replace(again, sentence=f"{again.sentence} Another {len(others):,} have a different label there.")
    if ours.record.model != other.model and not len(np.intersect1d(ours.answers.keys, theirs.answers.keys)):
        return incomparable(
            f"run {other.run_id} belongs to {other.model}, and keys identify examples only within a model"
        )
    return found


def _pair(ours: Answers, theirs: Answers, rows: NDArray[np.int64]) -> Pairs:
    """Pairs our answers with these rows of theirs, (m,); both have keys."""
    assert ours.keys is not None and theirs.keys is not None
    found = pair(Keyed(ours.keys, ours.loss), Keyed(theirs.keys[rows], theirs.loss[rows]))
    return replace(found, others=rows[found.others])


def _of_another_truth(ours: Tested, theirs: Tested, pairs: Pairs) -> NDArray[np.int64]:
    """Returns the rows of theirs whose example had a different label: the losses are not comparable, as if in different
    units.

    Classes are identified by name, unless all were renamed.
    """
    mine, other = ours.answers.labels[pairs.rows], theirs.answers.labels[pairs.others]
    if ours.record.problem.get("kind") == "regression":
        return np.compress(~np.isclose(mine, other, rtol=_SAME, atol=0), pairs.others)
    names = [list(one.record.problem.get("classes") or []) for one in (ours, theirs)]
    if set(names[0]) & set(names[1]):
        mine, other = (
            np.asarray(named, dtype=object)[found] for named, found in zip(names, (mine, other), strict=True)
        )
    return np.compress(mine != other, pairs.others)


def incomparable(why: str) -> Pairs:
    """Returns no pairs, with the reason."""
    rows, loss = np.empty(0, dtype=np.int64), np.empty(0)
    return Pairs("inconclusive", rows, loss, loss, f"Not comparable: {why}.")
