"""A monitor costs a service next to nothing."""

from __future__ import annotations

from tests.bench.service import prediction_microseconds

MOST_MICROSECONDS = 25.0


def test_a_prediction_with_ten_features() -> None:
    assert prediction_microseconds(4_000) <= MOST_MICROSECONDS
