"""What a model said of each test example, as a run stores it: enough to compare it with any later model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catwalk.errors import ArtifactError
from catwalk.ledger.records import EvaluationRecord
from catwalk.ledger.runs import Run
from catwalk.problems.arrays import Floats
from catwalk.problems.interface import Outcome
from catwalk.tracking.keys import Keys

NAME = "outcome.safetensors"
MOST_EXAMPLES = 2_000_000
"""Of more, those with the smallest keys are kept, in each run the same; without keys, the first."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Of n test examples."""

    labels: NDArray[Any]
    """Shape (n,)."""
    predictions: NDArray[Any]
    """Shape (n,)."""
    loss: Floats
    """Shape (n,)."""
    keys: Keys | None
    """Shape (n,); None: nothing names the examples."""
    slices: Mapping[str, NDArray[Any]]
    """Name → value of each example, (n,)."""

    @classmethod
    def of(cls, outcome: Outcome, keys: Keys | None, slices: Mapping[str, NDArray[Any]]) -> Answers:
        """Those that are kept of an outcome."""
        count = len(outcome.labels)
        rows: Any = slice(None)
        if count > MOST_EXAMPLES:
            rows = slice(MOST_EXAMPLES) if keys is None else np.sort(np.argsort(keys)[:MOST_EXAMPLES])
        return cls(
            outcome.labels[rows],
            outcome.predictions[rows],
            outcome.loss[rows],
            None if keys is None else keys[rows],
            {name: values[rows] for name, values in slices.items()},
        )

    def outcome(self, metrics: Mapping[str, float]) -> Outcome:
        """For the gate, which asks for losses and labels alone."""
        return Outcome(self.labels, self.predictions.astype(np.float64), self.predictions, self.loss, metrics)

    def packed(self) -> bytes:
        """As safetensors bytes."""
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
    """
    Raises:
        ArtifactError: it is damaged.
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
    """The answers of a run's test.

    Raises:
        ArtifactError: it has none, or not those that were recorded.
    """
    if evaluation is None or not evaluation.outcome_sha256:
        raise ArtifactError(f"run {run.run_id} has stored no answers to single examples")
    stored = run.store.find(run.key(NAME))
    if stored is None or hashlib.sha256(stored.body).hexdigest() != evaluation.outcome_sha256:
        raise ArtifactError(f"{run.key(NAME)} is missing, or not what its sha256 says")
    return unpacked(stored.body)
