"""Two models on the same examples: how they differ, and whether by more than chance.

Only the examples on which exactly one of them is right speak: with equally good models each of these is a fair coin
(McNemar, 1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def at_most(heads: int, tosses: int) -> float:
    """How likely a fair coin falls heads up so often or less: the binomial distribution's tail, without scipy.

    Summed from the likeliest term down, each ``i / (tosses − i + 1)`` of the one before.
    """
    if 2 * heads > tosses:  # the other tail is the one whose terms become smaller
        return 1.0 - at_most(tosses - heads - 1, tosses)
    if heads < 0:
        return 0.0
    ways = math.lgamma(tosses + 1) - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1)
    term = total = math.exp(ways - tosses * math.log(2))
    for i in range(heads, 0, -1):
        term *= i / (tosses - i + 1)
        total += term
    return total


@dataclass(frozen=True)
class Discordance:
    """Where two models differ on the same images."""

    only_challenger: int
    """Images that only the challenger has right; `b` in the formulas."""
    only_other: int
    """Images that only the other has right; `c`."""
    examples: int

    @classmethod
    def of(cls, labels: Integers, challenger: Integers, other: Integers) -> Discordance:
        """Counts them; all three arrays have shape (n,) and hold class indices."""
        mine, theirs = challenger == labels, other == labels
        return cls(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(labels))

    @property
    def difference(self) -> float:
        """Accuracy of the challenger less that of the other, as a ratio."""
        return (self.only_challenger - self.only_other) / self.examples

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: how likely so uneven a split is between equally good models."""
        smaller, discordant = min(self.only_challenger, self.only_other), self.only_challenger + self.only_other
        return min(1.0, 2 * at_most(smaller, discordant))

    @property
    def p_worse(self) -> float:
        """The same test, one-sided: small where the challenger is worse."""
        return at_most(self.only_challenger, self.only_challenger + self.only_other)

    def bound(self, z: float) -> float:
        """`z` standard errors from the difference: ``(b − c)/n + z·√(b + c − (b − c)²/n)/n``."""
        b, c, n = self.only_challenger, self.only_other, self.examples
        return self.difference + z * math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values (Holm, 1979), in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
