"""Statistics for the figures: probabilities, and bins of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catwalk.problems.scores import CALIBRATION_BINS


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the softmax over the classes, shape (n, classes)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Bin:
    """Examples of similar confidence."""

    low: float
    """The lower edge; bins are equally wide."""
    examples: int
    confidence: float
    """The mean, 0 to 1."""
    hits: int
    """How many examples were classified correctly."""


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[list[Bin], float]:
    """Returns the bins that contain examples, and the expected calibration error (Naeini, Cooper and Hauskrecht, 2015).

    Args:
        confidence: The probability of the predicted class, shape (n,).
        right: Whether that class is the true one, shape (n,).
        bins: The number of bins, equally wide, over 0 to 1.
    """
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins)
    total = np.bincount(index, weights=confidence, minlength=bins)
    hits = np.bincount(index, weights=right.astype(np.float64), minlength=bins)
    error = float(np.abs(total - hits).sum() / max(1, len(confidence)))
    found = [
        Bin(number / bins, int(counts[number]), float(total[number] / counts[number]), int(hits[number]))
        for number in range(bins)
        if counts[number]
    ]
    return found, error
