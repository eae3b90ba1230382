"""Student's t without scipy, compared with scipy's."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t as reference

from catwalk.problems.paired.student import quantile, upper_tail

FREEDOM = [1, 2, 3, 7, 29, 199, 1_999, 9_999, 1e6]


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("t", [-8.0, -2.6, -0.3, 0.0, 1e-9, 0.5, 1.0, 1.7, 2.6, 6.0, 40.0])
def test_the_tail_is_scipys(t: float, freedom: float) -> None:
    assert upper_tail(t, freedom) == pytest.approx(reference.sf(t, freedom), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("p", [0.001, 0.05, 0.5, 0.501, 0.9, 0.95, 0.995, 0.9995, 1 - 1e-9])
def test_the_quantile_is_scipys(p: float, freedom: float) -> None:
    assert quantile(p, freedom) == pytest.approx(reference.ppf(p, freedom), rel=1e-7, abs=1e-12)


def test_an_infinite_value_has_no_tail() -> None:
    assert upper_tail(math.inf, 9) == 0.0
    assert upper_tail(-math.inf, 9) == 1.0
