"""Two models on the same examples: how they differ, and whether by more than chance.

Each example has a loss under both models. What is 0 or 1 is counted: only the examples on which exactly one model is
right speak, and with equally good models each of these is a fair coin (McNemar, 1947). Any other loss is averaged:
Student's paired t-test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catwalk.problems.paired import student

Integers = NDArray[np.int64]
NEGLIGIBLE = 1e-6
"""Of the baseline's mean loss: the same model in float32 on another machine differs by less, without a fault of its
own."""


class Paired(Protocol):
    """How a challenger differs from another model on the same examples; positive: it is better."""

    @property
    def examples(self) -> int:
        """How many they are."""

    @property
    def difference(self) -> float:
        """By how much the challenger is better, in the metric's unit."""

    @property
    def standard_error(self) -> float:
        """Of the difference."""

    @property
    def p_value(self) -> float:
        """Two-sided: how likely so large a difference is between equally good models."""

    @property
    def p_worse(self) -> float:
        """One-sided: small where the challenger is worse."""

    @property
    def test(self) -> str:
        """The test's name."""

    @property
    def evidence(self) -> str:
        """What the difference rests on, for a sentence."""

    def quantile(self, p: float) -> float:
        """Standard errors from the difference below which a share `p` lies."""

    def bound(self, z: float) -> float:
        """`z` standard errors from the difference."""

    def text(self, difference: float, sign: bool = True) -> str:
        """A difference in the metric's unit, for a sentence."""


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
    """Where two models differ on the same examples."""

    only_challenger: int
    """Examples that only the challenger has right; `b` in the formulas."""
    only_other: int
    """Examples that only the other has right; `c`."""
    examples: int

    @classmethod
    def of(cls, labels: Integers, challenger: Integers, other: Integers) -> Discordance:
        """Counts them; all three arrays have shape (n,) and hold class indices."""
        mine, theirs = challenger == labels, other == labels
        return cls(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(labels))

    @classmethod
    def of_losses(cls, challenger: NDArray[Any], other: NDArray[Any]) -> Discordance:
        """The same from losses, (n,) each: 0 where the model is right, 1 where it is wrong."""
        mine, theirs = challenger == 0, other == 0
        return cls(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(challenger))

    @property
    def difference(self) -> float:
        """Accuracy of the challenger less that of the other, as a ratio."""
        return (self.only_challenger - self.only_other) / self.examples

    @property
    def standard_error(self) -> float:
        """Of the difference: ``√(b + c − (b − c)²/n)/n``."""
        b, c, n = self.only_challenger, self.only_other, self.examples
        return math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: how likely so uneven a split is between equally good models."""
        smaller, discordant = min(self.only_challenger, self.only_other), self.only_challenger + self.only_other
        return min(1.0, 2 * at_most(smaller, discordant))

    @property
    def p_worse(self) -> float:
        """The same test, one-sided: small where the challenger is worse."""
        return at_most(self.only_challenger, self.only_challenger + self.only_other)

    @property
    def test(self) -> str:
        """Its name."""
        return "McNemar's exact"

    @property
    def evidence(self) -> str:
        """Both counts, for a sentence."""
        return (
            f"alone right on {self.only_challenger} examples and alone wrong on {self.only_other} of {self.examples:,}"
        )

    def quantile(self, p: float) -> float:
        """The normal distribution's."""
        return NormalDist().inv_cdf(p)

    def bound(self, z: float) -> float:
        """`z` standard errors from the difference: ``(b − c)/n + z·√(b + c − (b − c)²/n)/n``."""
        b, c, n = self.only_challenger, self.only_other, self.examples
        return self.difference + z * math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n

    def text(self, difference: float, sign: bool = True) -> str:
        """A ratio in points of accuracy."""
        return f"{100 * difference:{'+' if sign else ''}.2f} points"


@dataclass(frozen=True)
class MeanDifference:
    """The other model's mean loss less the challenger's, by Student's paired t."""

    difference: float
    standard_error: float
    """Infinite for a single example."""
    examples: int
    metric: str
    unit: str
    scale: float
    """The other model's mean loss."""

    @classmethod
    def of_losses(cls, challenger: NDArray[Any], other: NDArray[Any], metric: str, unit: str) -> MeanDifference:
        """From the losses of both, (n,) each."""
        gains = other - challenger
        n = len(gains)
        error = float(gains.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
        return cls(float(gains.mean()), error, n, metric, unit, float(np.abs(other).mean()))

    @property
    def p_value(self) -> float:
        """Student's paired t-test, two-sided."""
        return min(1.0, 2 * student.upper_tail(abs(self._t), self._freedom))

    @property
    def p_worse(self) -> float:
        """The same test, one-sided: small where the challenger is worse."""
        return student.upper_tail(-self._t, self._freedom)

    @property
    def _t(self) -> float:
        if abs(self.difference) <= NEGLIGIBLE * self.scale:
            return 0.0
        return (
            self.difference / self.standard_error if self.standard_error else math.copysign(math.inf, self.difference)
        )

    @property
    def _freedom(self) -> int:
        return max(1, self.examples - 1)

    @property
    def test(self) -> str:
        """Its name."""
        return "Student's paired t-test"

    @property
    def evidence(self) -> str:
        """What was averaged, for a sentence."""
        return f"mean {self.metric.replace('_', ' ')} of {self.examples:,} examples"

    def quantile(self, p: float) -> float:
        """Student's."""
        return student.quantile(p, self._freedom)

    def bound(self, z: float) -> float:
        """`z` standard errors from the difference."""
        return self.difference + z * self.standard_error

    def text(self, difference: float, sign: bool = True) -> str:
        """A difference with its unit; with a sign, what it means."""
        ratio = self.unit == "ratio"
        amount = f"{100 * abs(difference):.2f} points" if ratio else f"{abs(difference):.4g} {self.unit}".rstrip()
        return f"{amount} {'worse' if difference < 0 else 'better'}" if sign else amount


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values (Holm, 1979), in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
