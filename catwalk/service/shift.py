"""How far a sample is from its reference, and how far is too far: what Prometheus' rules compute, in numpy.

The statistic is the two-sample G, which is finite where a bin is empty. Its limit is a quantile of the noncentral χ²
distribution: not "is there any difference", which with enough traffic there always is, but "is it surely more than the
smallest shift that matters". docs/drift.md shows what it is worth.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS = 0.25
"""Alarms expected for a model in a year of traffic that doesn't change."""
HOURS = 8_760
SAFETY = 1.5
"""What a measured dispersion is multiplied by, because it depends on few days."""
FLOOR = 0.03
GROSS = 0.5
"""The smallest shift for which an hour alone, or a reference other than the service's own traffic, raises an alarm."""
_LITTLE = 1e-9

Floats = NDArray[np.float64]


def level(features: int) -> float:
    """Returns the normal quantile of each hour's test of each feature, given the number of features."""
    return NormalDist().inv_cdf(1 - FALSE_ALARMS / (max(1, features) * HOURS))


def statistic(sample: Any, reference: Any) -> Floats:
    """Returns the two-sample G of counts along the last axis; 0 for an empty sample."""
    counts, known = np.asarray(sample, dtype=float), np.asarray(reference, dtype=float)
    n, m = counts.sum(-1), known.sum(-1)
    of_bins = (_x_ln_x(counts) + _x_ln_x(known) - _x_ln_x(counts + known)).sum(-1)
    return np.asarray(2 * (of_bins - _x_ln_x(n) - _x_ln_x(m) + _x_ln_x(n + m)), dtype=float)


def degrees(sample: Any, reference: Any) -> NDArray[np.int64]:
    """Returns the degrees of freedom: the bins in which either of the two has examples, less one."""
    filled = (np.asarray(sample) + np.asarray(reference)) > 0
    return np.asarray(np.maximum(filled.sum(-1) - 1, 0), dtype=np.int64)


def evidence(sample: Any, reference: Any) -> Floats:
    """Returns how much one unit of shift raises the statistic: half the harmonic mean of both samples' sizes."""
    n, m = np.sum(sample, axis=-1, dtype=float), np.sum(reference, axis=-1, dtype=float)
    return np.asarray(n * m / (n + m), dtype=float)


def limit(free: Any, weight: Any, floor: Any, dispersion: Any, quantile: float) -> Floats:
    """Returns what the statistic may be while the shift is at most the floor.

    Patnaik's two moments make a noncentral χ² of a central one, Wilson and Hilferty's cube makes that normal: 2 to 7 %
    above the exact quantile at 9 degrees of freedom, up to a third at one, so on the safe side.

    Args:
        free: degrees of freedom.
        weight: the evidence.
        floor: the smallest shift that matters.
        dispersion: how much more samples differ than independent examples would.
        quantile: see :func:`level`.
    """
    push = weight * floor / np.asarray(dispersion, dtype=float)
    centre = np.maximum(free + push, _LITTLE)  # both are 0 if there are no predictions and the reference has one bin
    spread = 2 / 9 * (free + 2 * push) / centre**2
    return np.asarray(dispersion * centre * (1 - spread + quantile * np.sqrt(spread)) ** 3, dtype=float)


def dispersion(days: Any) -> float:
    """Returns the dispersion of a feature, from the counts of its days in service, (days, bins), each day against all
    others.

    Within a session requests resemble each other, so that days differ by more than their numbers say.
    """
    counts = np.asarray(days, dtype=float)
    counts = counts[counts.sum(-1) > 0]
    if len(counts) < 2:
        return SAFETY
    rest = counts.sum(0) - counts
    usual = _median(float(np.median(degrees(counts, rest))))
    found = float(np.median(statistic(counts, rest))) / usual if usual else 1.0
    return SAFETY * max(1.0, found)


def _median(free: float) -> float:
    """Returns a quantile of the χ² distribution, by Wilson and Hilferty."""
    return free * (1 - 2 / (9 * free)) ** 3 if free else 0.0


def _x_ln_x(values: Any) -> Floats:
    found = np.asarray(values, dtype=float)
    return np.asarray(found * np.log(np.maximum(found, math.ulp(0.0))), dtype=float)
