"""Tests whether one model is better than another on the same examples, and how many examples that needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from catwalk.problems.arrays import Floats
from catwalk.problems.interface import Metric, Problem
from catwalk.problems.paired.differences import Paired

Verdict = Literal["better", "worse", "indistinguishable", "inconclusive"]
SIGNIFICANCE = 0.01
"""Small, because one test set decides night after night."""
CONFIDENCE = 0.95
"""The one-sided confidence that a model is within the margin."""
POWER = 0.8
STANDARD_ERRORS = NormalDist().inv_cdf(CONFIDENCE) + NormalDist().inv_cdf(POWER)
"""2.49: with a margin of this many standard errors, 80 % of equally good models are found to be within it."""


@dataclass(frozen=True)
class PairedTest:
    """A challenger compared with a baseline, in the unit of the headline metric; positive if the challenger
    is better.
    """

    metric: Metric
    statistic: Paired
    margin: float
    """How much worse a model may be and still be accepted for newer data."""
    significance: float = SIGNIFICANCE
    too_few: str = ""
    """Why there can be no verdict, whatever the values; empty if there can be one."""

    @property
    def estimate(self) -> float:
        """By how much the challenger is better."""
        return self.statistic.difference

    @property
    def interval(self) -> tuple[float, float]:
        """The two-sided interval with confidence 1 minus the significance: if it does not contain 0, there is a
        difference.
        """
        z = -self.statistic.quantile(self.significance / 2)
        return self.statistic.bound(-z), self.statistic.bound(z)

    @property
    def low(self) -> float:
        """The one-sided lower bound of the difference, with 95 % confidence."""
        return self.statistic.bound(-self.statistic.quantile(CONFIDENCE))

    @property
    def high(self) -> float:
        """The one-sided upper bound."""
        return self.statistic.bound(self.statistic.quantile(CONFIDENCE))

    @property
    def p(self) -> float:
        """The two-sided p-value."""
        return self.statistic.p_value

    @property
    def test(self) -> str:
        """The test's name."""
        return self.statistic.test

    @property
    def examples_needed(self) -> int:
        """How many examples are needed for the margin to be 2.49 standard errors wide."""
        error, n = self.statistic.standard_error, self.statistic.examples
        if math.isinf(error) or (error and not self.margin):
            return n + 1
        return max(2, math.ceil(n * (STANDARD_ERRORS * error / self.margin) ** 2)) if error else n

    @property
    def verdict(self) -> Verdict:
        """The verdict; ``indistinguishable`` if there is no significant difference, and a loss beyond the margin is
        excluded.
        """
        if self.too_few:
            return "inconclusive"
        if self.p < self.significance:
            return "better" if self.estimate > 0 else "worse"
        if self.examples_needed > self.statistic.examples or self.low <= -self.margin:
            return "inconclusive"
        return "indistinguishable"

    @property
    def why(self) -> str:
        """Why it is inconclusive, as a sentence; empty if it isn't."""
        if self.verdict != "inconclusive":
            return ""
        if self.too_few:
            return self.too_few
        text = self.statistic.text
        if self.examples_needed > self.statistic.examples:
            return (
                f"The test set is too small for this margin of {text(self.margin, sign=False)}: needs n ≥ "
                f"{self.examples_needed:,}, has {self.statistic.examples:,}."
            )
        return f"A difference of {text(self.low)}, beyond the margin of {text(-self.margin)}, is not excluded."


def compare(
    problem: Problem,
    labels: Floats,
    challenger: Floats,
    baseline: Floats,
    *,
    margin: float | None = None,
    significance: float = SIGNIFICANCE,
) -> PairedTest:
    """Tests two models on the same examples.

    Args:
        problem: Their kind of problem.
        labels: The labels, as in the challenger's :class:`~catwalk.problems.interface.Outcome`, (n,).
        challenger: The challenger's loss, (n,).
        baseline: The other model's loss, (n,), for the same examples.
        margin: The margin in the headline metric's unit; None for the problem's default for this baseline.
        significance: The level of the two-sided test.
    """
    return PairedTest(
        problem.metrics[0],
        problem.paired(labels, challenger, baseline),
        problem.margin(baseline) if margin is None else margin,
        significance,
        problem.too_few(labels),
    )
