"""Whether one model is better than another one on the same examples, and what it takes to say so."""

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
"""Small, for one test set decides night after night."""
CONFIDENCE = 0.95
"""One-sided, of what is surely within the margin."""
POWER = 0.8
STANDARD_ERRORS = NormalDist().inv_cdf(CONFIDENCE) + NormalDist().inv_cdf(POWER)
"""2.49: of equally good models 80 % are found to be within a margin so wide."""


@dataclass(frozen=True)
class PairedTest:
    """A challenger against a baseline, in the unit of the headline metric; positive: the challenger is better."""

    metric: Metric
    statistic: Paired
    margin: float
    """Losses up to it are accepted for newer data."""
    significance: float = SIGNIFICANCE
    too_few: str = ""
    """Why there is no verdict whatever the figures; empty: there may be one."""

    @property
    def estimate(self) -> float:
        """By how much the challenger is better."""
        return self.statistic.difference

    @property
    def interval(self) -> tuple[float, float]:
        """Two-sided, of confidence 1 less the significance: without 0 in it, there is a difference."""
        z = -self.statistic.quantile(self.significance / 2)
        return self.statistic.bound(-z), self.statistic.bound(z)

    @property
    def low(self) -> float:
        """One-sided lower bound of the difference, with 95 % confidence."""
        return self.statistic.bound(-self.statistic.quantile(CONFIDENCE))

    @property
    def high(self) -> float:
        """The upper one."""
        return self.statistic.bound(self.statistic.quantile(CONFIDENCE))

    @property
    def p(self) -> float:
        """Two-sided."""
        return self.statistic.p_value

    @property
    def test(self) -> str:
        """The test's name."""
        return self.statistic.test

    @property
    def examples_needed(self) -> int:
        """At least so many, for the margin to be 2.49 standard errors wide."""
        error, n = self.statistic.standard_error, self.statistic.examples
        if math.isinf(error) or (error and not self.margin):
            return n + 1
        return max(2, math.ceil(n * (STANDARD_ERRORS * error / self.margin) ** 2)) if error else n

    @property
    def verdict(self) -> Verdict:
        """``indistinguishable``: no difference was found, and none worse than the margin is left possible."""
        if self.too_few:
            return "inconclusive"
        if self.p < self.significance:
            return "better" if self.estimate > 0 else "worse"
        if self.examples_needed > self.statistic.examples or self.low <= -self.margin:
            return "inconclusive"
        return "indistinguishable"

    @property
    def why(self) -> str:
        """Why it is inconclusive, as a sentence; empty: it isn't."""
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
        return f"A difference of {text(self.low)} is not excluded, beyond the margin of {text(-self.margin)}."


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
        problem: what both were asked.
        labels: as in the challenger's :class:`~catwalk.problems.interface.Outcome`, (n,).
        challenger: its loss, (n,).
        baseline: the other model's, (n,), example by example.
        margin: in the headline metric's unit; None: the problem's own for this baseline.
        significance: level of the two-sided test.
    """
    return PairedTest(
        problem.metrics[0],
        problem.paired(labels, challenger, baseline),
        problem.margin(baseline) if margin is None else margin,
        significance,
        problem.too_few(labels),
    )
