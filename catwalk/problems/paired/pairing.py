"""Which examples of two test sets are the same: what two models can be compared on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError
from catwalk.problems.arrays import Floats

LEAST_COMMON = 500
LEAST_SHARE = 0.8
"""Of the challenger's examples."""


@dataclass(frozen=True, eq=False)
class Keyed:
    """A model's loss on its own test examples."""

    keys: NDArray[Any]
    """What names an example, (n,): text, bytes or numbers, each once."""
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
                f"keys: expected a key of its own for each example; got {values[counts.argmax()]!r:.60} "
                f"{counts.max():,} times"
            )


@dataclass(frozen=True, eq=False)
class Pairs:
    """The losses of two models on the same examples, and how these were found."""

    how: Literal["keys", "rescored", "inconclusive"]
    rows: NDArray[np.int64]
    """Rows of the challenger's examples, (m,); none where it is inconclusive."""
    challenger: Floats
    """Shape (m,)."""
    baseline: Floats
    """Shape (m,)."""
    sentence: str
    others: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Rows of the baseline's own examples, (m,); none where it was asked about the challenger's."""


def pair(challenger: Keyed, baseline: Keyed, rescored: Floats | None = None) -> Pairs:
    """Pairs two models: by common keys; else by scores of the baseline on the challenger's examples; else not at all.

    Args:
        challenger: with its own test examples.
        baseline: with its own, which may be others.
        rescored: the baseline's loss on the challenger's examples, (n,); None: it can't be asked.
    """
    common, mine, theirs = np.intersect1d(challenger.keys, baseline.keys, assume_unique=True, return_indices=True)
    count, total = len(common), len(challenger.keys)
    told = f"{count:,} of {total:,} test examples have their key in both test sets"
    if count >= LEAST_COMMON and count >= LEAST_SHARE * total:
        order = np.argsort(mine)
        rows, others = (found[order].astype(np.int64) for found in (mine, theirs))
        return Pairs("keys", rows, challenger.loss[rows], baseline.loss[others], f"Compared by key: {told}.", others)
    if rescored is not None:
        sentence = f"Compared on all {total:,} test examples, which the other model was asked about again: only {told}."
        return Pairs("rescored", np.arange(total, dtype=np.int64), challenger.loss, rescored, sentence)
    none = np.empty(0)
    return Pairs(
        "inconclusive",
        np.empty(0, dtype=np.int64),
        none,
        none,
        f"Not comparable: {told}, and it takes {LEAST_COMMON} and {LEAST_SHARE:.0%} of them.",
    )
