"""Differences of two models on the same examples, and whether they are more than chance.

Each example has a loss for both models. Losses of 0 or 1 are counted: only examples for which exactly one model is
right count, and for equally good models each of these is a fair coin toss (McNemar, 1947). Any other loss is averaged,
with Student's paired t-test.
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
"""A difference that is negligible, as a ratio of the baseline's mean loss: the same model in float32 on another machine
differs by less.
"""


class Paired(Protocol):
    """How a challenger differs from another model on the same examples; positive if it is better."""

    @property
    def examples(self) -> int:
        """How many examples there are."""

    @property
    def difference(self) -> float:
        """By how much the challenger is better, in the metric's unit."""

    @property
    def standard_error(self) -> float:
        """The standard error of the difference."""

    @property
    def p_value(self) -> float:
        """The two-sided p-value: how likely a difference this large is between equally good models."""

    @property
    def p_worse(self) -> float:
        """The one-sided p-value, which is small if the challenger is worse."""

    @property
    def test(self) -> str:
        """The test's name."""

    @property
    def evidence(self) -> str:
        """The evidence of the difference, for a sentence."""

    def quantile(self, p: float) -> float:
        """Returns the number of standard errors from the difference below which a share `p` lies."""

    def bound(self, z: float) -> float:
        """Returns the value `z` standard errors from the difference."""

    def text(self, difference: float, sign: bool = True) -> str:
        """Returns a difference in the metric's unit, for a sentence."""


def at_most(heads: int, tosses: int) -> float:
    """Returns how likely a fair coin shows at most this many heads: the tail of the binomial distribution, without
    scipy.

    It is summed from the most likely term down, each ``i / (tosses − i + 1)`` of the previous one.
    """
    if 2 * heads > tosses:  # the other tail has terms that become smaller
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
    """The examples on which two models differ."""

    only_challenger: int
    """How many examples only the challenger has right; `b` in the formulas."""
    only_other: int
    """How many examples only the other model has right; `c` in the formulas."""
    examples: int

    @classmethod
    def of(cls, labels: Integers, challenger: Integers, other: Integers) -> Discordance:
        """Counts them; all three arrays have shape (n,) and contain class indices."""
        mine, theirs = challenger == labels, other == labels
        return cls(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(labels))

    @classmethod
    def of_losses(cls, challenger: NDArray[Any], other: NDArray[Any]) -> Discordance:
        """Counts them from losses, (n,) each: 0 if the model is right, 1 if it is wrong."""
        mine, theirs = challenger == 0, other == 0
        return cls(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(challenger))

    @property
    def difference(self) -> float:
        """The challenger's accuracy minus the other's, as a ratio."""
        return (self.only_challenger - self.only_other) / self.examples

    @property
    def standard_error(self) -> float:
        """The standard error of the difference: ``√(b + c − (b − c)²/n)/n``."""
        b, c, n = self.only_challenger, self.only_other, self.examples
        return math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n

    @property
    def p_value(self) -> float:
        """The p-value of McNemar's exact test, two-sided: how likely a split this uneven is between equally good
        models.
        """
        smaller, discordant = min(self.only_challenger, self.only_other), self.only_challenger + self.only_other
        return min(1.0, 2 * at_most(smaller, discordant))

    @property
    def p_worse(self) -> float:
        """The p-value of the same test, one-sided, which is small if the challenger is worse."""
        return at_most(self.only_challenger, self.only_challenger + self.only_other)

    @property
    def test(self) -> str:
        """The test's name."""
        return "McNemar's exact"

    @property
    def evidence(self) -> str:
        """Both counts, for a sentence."""
        return (
            f"only it is right on {self.only_challenger} of {self.examples:,} examples, "
            f"and only the other on {self.only_other}"
        )

    def quantile(self, p: float) -> float:
        """Returns the quantile of the normal distribution."""
        return NormalDist().inv_cdf(p)

    def bound(self, z: float) -> float:
        """Returns the value `z` standard errors from the difference: ``(b − c)/n + z·√(b + c − (b − c)²/n)/n``."""
        b, c, n = self.only_challenger, self.only_other, self.examples
        return self.difference + z * math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n

    def text(self, difference: float, sign: bool = True) -> str:
        """Returns a ratio in points of accuracy."""
        return f"{100 * difference:{'+' if sign else ''}.2f} points"


@dataclass(frozen=True)
class MeanDifference:
    """The other model's mean loss minus the challenger's, with Student's paired t."""

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
        """Returns the difference from the losses of both, (n,) each."""
        gains = other - challenger
        n = len(gains)
        error = float(gains.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
        return cls(float(gains.mean()), error, n, metric, unit, float(np.abs(other).mean()))

    @property
    def p_value(self) -> float:
        """The p-value of Student's paired t-test, two-sided."""
        return min(1.0, 2 * student.upper_tail(abs(self._t), self._freedom))

    @property
    def p_worse(self) -> float:
        """The p-value of the same test, one-sided, which is small if the challenger is worse."""
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
        """The test's name."""
        return "Student's paired t-test"

    @property
    def evidence(self) -> str:
        """What was averaged, for a sentence."""
        return f"mean {self.metric.replace('_', ' ')} of {self.examples:,} examples"

    def quantile(self, p: float) -> float:
        """Returns the quantile of Student's distribution."""
        return student.quantile(p, self._freedom)

    def bound(self, z: float) -> float:
        """`z` standard errors from the difference."""
        return self.difference + z * self.standard_error

    def text(self, difference: float, sign: bool = True) -> str:
        """Returns a difference with its unit; with `sign`, also whether it is better or worse."""
        ratio = self.unit == "ratio"
        amount = f"{100 * abs(difference):.2f} points" if ratio else f"{abs(difference):.4g} {self.unit}".rstrip()
        return f"{amount} {'worse' if difference < 0 else 'better'}" if sign else amount


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns step-down adjusted p-values (Holm, 1979), in the given order."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
