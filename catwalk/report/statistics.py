"""What the figures compute: intervals of a ratio, and bins of a reliability diagram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catwalk.problems.scores import CALIBRATION_BINS

Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: two-sided 95 %."""


def wilson(hits: int, examples: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a ratio (Wilson, 1927): ``(p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)``.

    No examples: (0, 1).
    """
    if examples == 0:
        return 0.0, 1.0
    p, square = hits / examples, z * z / examples
    half = z * math.sqrt(p * (1 - p) / examples + square / (4 * examples))
    low, high = ((p + square / 2 + sign * half) / (1 + square) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def half_width(loss: NDArray[np.float64]) -> float:
    """Half of the 95 % interval of a mean of losses, (n,); 0 for a single one."""
    return Z_95 * float(loss.std(ddof=1)) / math.sqrt(len(loss)) if len(loss) > 1 else 0.0


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the classes, shape (n, classes)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Bin:
    """Examples of similar confidence."""

    low: float
    """Lower edge; bins are equally wide."""
    examples: int
    confidence: float
    """Mean, 0 to 1."""
    hits: int
    """Examples that were classified right."""


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[list[Bin], float]:
    """The bins that hold examples, and the expected calibration error (Naeini, Cooper and Hauskrecht, 2015).

    Args:
        confidence: probability of the predicted class, shape (n,).
        right: whether that class is the true one, shape (n,).
        bins: equally wide, over 0 to 1.
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
