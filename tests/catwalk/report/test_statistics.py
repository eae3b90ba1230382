"""Intervals and calibration, compared with other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from catwalk.problems import scores
from catwalk.problems.intervals import wilson
from catwalk.report.statistics import probabilities, reliability
from tests.catwalk.report.conftest import predictions


@pytest.mark.parametrize(("hits", "examples"), [(0, 10), (1, 10), (5, 10), (10, 10), (715, 1_000), (9_017, 10_000)])
def test_wilson_is_what_scipy_computes(hits: int, examples: int) -> None:
    expected = binomtest(hits, examples).proportion_ci(0.95, method="wilson")
    assert wilson(hits, examples) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_contains_the_ratio_and_narrows_with_examples() -> None:
    widths = []
    for n in (10, 100, 1_000, 10_000):
        low, high = wilson(9 * n // 10, n)
        assert 0 <= low < 0.9 < high <= 1
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert wilson(0, 0) == (0.0, 1.0)


def test_calibration_error_is_the_one_of_the_evaluation() -> None:
    found = predictions(4)
    bins, error = reliability(found.confidence, found.right)
    assert error == pytest.approx(scores.calibration_error(found.logits, found.labels), abs=1e-12)
    assert sum(one.examples for one in bins) == len(found.labels)
    assert sum(one.hits for one in bins) == found.right.sum()
    for one in bins:
        assert one.low <= one.confidence <= one.low + 1 / scores.CALIBRATION_BINS + 1e-12


def test_full_confidence_falls_into_the_last_bin() -> None:
    bins, error = reliability(np.array([1.0, 1.0]), np.array([True, False]))
    assert [(one.examples, one.hits) for one in bins] == [(2, 1)]
    assert error == 0.5


def test_probabilities_survive_large_logits() -> None:
    found = probabilities(np.array([[1e4, 0, -1e4]], dtype=np.float32))
    assert found.tolist() == [[1.0, 0.0, 0.0]]
