"""Student's t distribution without scipy, which is not in the library's base install; a test compares the two."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_STEPS = 100_000
"""Far more than the continued fraction needs: about √degrees of freedom."""


def upper_tail(t: float, freedom: float) -> float:
    """Returns how likely a value above `t` is, with `freedom` degrees of freedom (more than 0)."""
    if t < 0:
        return 1.0 - upper_tail(-t, freedom)
    if math.isinf(t):
        return 0.0
    return 0.5 * _beta(freedom / (freedom + t * t), t * t / (freedom + t * t), freedom / 2, 0.5)


@lru_cache(maxsize=1_024)
def quantile(p: float, freedom: float) -> float:
    """Returns the value below which a share `p`, between 0 and 1, lies.

    It uses Newton's method on the upper tail, which is convex there: from the normal quantile, which is always nearer
    to 0, it climbs without overshooting.
    """
    if p > 0.5:
        return -quantile(1.0 - p, freedom)
    found = -NormalDist().inv_cdf(p)
    for _ in range(200):
        step = (upper_tail(found, freedom) - p) / _density(found, freedom)
        found += step
        if abs(step) <= 1e-13 * max(1.0, found):
            break
    return -found


def _density(t: float, freedom: float) -> float:
    logarithm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    return math.exp(logarithm - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """Returns the regularised incomplete beta function at `x`; `rest` is 1 − x, which can't be computed from an x close
    to 1.
    """
    if x == 0.0 or rest == 0.0:
        return 0.0 if x == 0.0 else 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    if x < (a + 1) / (a + b + 2):
        return math.exp(logarithm) * _fraction(x, a, b) / a
    return 1.0 - math.exp(logarithm) * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Returns its continued fraction (DLMF 8.17.22) by Lentz's method, which converges fast for x < (a + 1)/(a + b +
    2).
    """
    above, below = 1.0, _nonzero(1.0 - (a + b) * x / (a + 1))
    below = 1.0 / below
    value = below
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            below = 1.0 / _nonzero(1.0 + term * below)
            above = _nonzero(1.0 + term / above)
            value *= above * below
        if abs(above * below - 1.0) < 1e-15:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
