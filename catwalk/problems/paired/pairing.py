"""Finds the examples that two test sets have in common, on which two models can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError
from catwalk.problems.arrays import Floats

LEAST_COMMON = 500
LEAST_SHARE = 0.8
"""The minimum share of the challenger's examples."""


@dataclass(frozen=True, eq=False)
class Keyed:
    """A model's loss on its own test examples."""

    keys: NDArray[Any]
    """The identifiers of the examples, (n,): text, bytes or numbers, each only once."""
    loss: Floats
    """Shape (n,)."""

    def __post_init__(self) -> None:
        if self.keys.shape != self.loss.shape or self.keys.ndim != 1:
            raise InputError(
                f"keys: expected a key for each loss, shape {self.loss.shape}; got shape {self.keys.shape}"
            )
        if len(np.unique(self.keys)) != len(self.keys):
            values, counts = np.unique(self.keys, return_counts=True)
            raise InputError(
                f"keys: expected a unique key for each example; got {values[counts.argmax()]!r:.60} "
                f"{counts.max():,} times"
            )


@dataclass(frozen=True, eq=False)
class Pairs:
    """The losses of two models on the same examples, and how these were found."""

    how: Literal["keys", "rescored", "inconclusive"]
    rows: NDArray[np.int64]
    """The rows of the challenger's examples, (m,); none if it is inconclusive."""
    challenger: Floats
    """Shape (m,)."""
    baseline: Floats
    """Shape (m,)."""
    sentence: str
    others: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """The rows of the baseline's own examples, (m,); none if it was asked about the challenger's."""


def pair(challenger: Keyed, baseline: Keyed, rescored: Floats | None = None) -> Pairs:
    """Pairs two models: by common keys, otherwise by the baseline's scores on the challenger's examples, otherwise not.

    Args:
        challenger: The challenger, with its own test examples.
        baseline: The baseline, with its own test examples, which may be different.
        rescored: The baseline's loss on the challenger's examples, (n,); None if it can't be asked.
    """
    common, mine, theirs = np.intersect1d(challenger.keys, baseline.keys, assume_unique=True, return_indices=True)
    count, total = len(common), len(challenger.keys)
    overlap = f"{count:,} of {total:,} test examples are in both test sets"
    if count >= LEAST_COMMON and count >= LEAST_SHARE * total:
        order = np.argsort(mine)
        rows, others = (found[order].astype(np.int64) for found in (mine, theirs))
        return Pairs("keys", rows, challenger.loss[rows], baseline.loss[others], f"Compared by key: {overlap}.", others)
    if rescored is not None:
        sentence = f"Compared on all {total:,} test examples, asking the other model again, because only {overlap}."
        return Pairs("rescored", np.arange(total, dtype=np.int64), challenger.loss, rescored, sentence)
    none = np.empty(0)
    return Pairs(
        "inconclusive",
        np.empty(0, dtype=np.int64),
        none,
        none,
        f"Not comparable: {overlap}, and a comparison needs {LEAST_COMMON} and {LEAST_SHARE:.0%} of them.",
    )
