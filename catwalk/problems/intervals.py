"""Confidence intervals of a ratio, and of a mean loss."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, for a two-sided 95 % interval."""


def wilson(hits: int, examples: int, z: float = Z_95) -> tuple[float, float]:
    """Returns the score interval of a ratio (Wilson, 1927): ``(p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)``.

    It is (0, 1) without examples.
    """
    if examples == 0:
        return 0.0, 1.0
    p, square = hits / examples, z * z / examples
    half = z * math.sqrt(p * (1 - p) / examples + square / (4 * examples))
    low, high = ((p + square / 2 + sign * half) / (1 + square) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def half_width(loss: NDArray[np.float64]) -> float:
    """Returns half the width of the 95 % interval of a mean of losses, (n,); 0 for a single one."""
    return Z_95 * float(loss.std(ddof=1)) / math.sqrt(len(loss)) if len(loss) > 1 else 0.0
