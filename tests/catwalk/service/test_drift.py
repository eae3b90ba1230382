"""What docs/drift.md promises, at a smaller size: few false alarms, and a rule that does fire."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.bench.drift import BINS, FEATURES, NULLS, Baseline, World, evidently, false_alarms, power, world

LIVELY = NULLS[2]


@pytest.fixture(scope="module")
def drawn() -> World:
    """Ten kinds of blots, which a linear model tells apart for the most part."""
    random = np.random.default_rng(3)
    kinds = gaussian_filter(random.random((10, 16, 16)), (0, 2, 2))
    kinds = (kinds - kinds.min((1, 2), keepdims=True)) / np.ptp(kinds, axis=(1, 2)).reshape(-1, 1, 1)

    def draw(examples: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        labels = random.integers(10, size=examples)
        light = random.uniform(0.4, 0.9, (examples, 1, 1))
        images = kinds[labels] * light + random.normal(0, 0.05, (examples, 16, 16))
        return np.clip(images, 0, 1), labels

    return world(draw(2_000), draw(4_000))


@pytest.mark.parametrize("volume", [1_000, 10_000])
def test_a_year_of_lively_traffic_raises_one_false_alarm_at_most(drawn: World, volume: int) -> None:
    found = false_alarms(LIVELY, volume, drawn, years=1)
    assert found["Catwalk"] <= 1
    assert found["mean + 3 sd"] >= 5, "the same traffic is too lively for the usual rule, or it would show nothing"


def test_a_change_that_matters_is_found_within_two_days(drawn: World) -> None:
    for change in ("rotation by 15°", "noise of 0.1"):
        found = power(change, LIVELY, 1_000, drawn, trials=4)["Catwalk"]
        assert found.found == 1
        assert found.hours <= 48


def test_evidently_s_rule_is_its_own_distances_on_raw_values() -> None:
    """Beside scipy's Wasserstein and Jensen–Shannon distances of the same examples."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    values = np.tile(np.arange(BINS, dtype=float), (len(FEATURES), 1))
    spread = np.full(len(FEATURES), 2.5)
    baseline = Baseline(np.full((28, len(FEATURES), BINS), 50.0), values, spread)
    for moved in (3, 4):  # of eight columns
        hourly = np.full((2 * 24, len(FEATURES), BINS), 4, dtype=np.int32)
        hourly[24:, :moved, :5], hourly[24:, :moved, 5:] = 3, 5
        counts = hourly[-1, 0]
        assert wasserstein_distance(values[0], values[0], counts) / 2.5 > 0.1
        assert jensenshannon(counts, np.ones(BINS)) < 0.1
        assert bool(evidently(hourly, baseline)[-1]) is (moved == 4)
    hourly = np.full((2 * 24, len(FEATURES), BINS), 4, dtype=np.int32)
    hourly[24:, :3, :5], hourly[24:, :3, 5:] = 3, 5
    hourly[24:, FEATURES.index("class"), 0] = 12
    assert jensenshannon(hourly[-1, FEATURES.index("class")], np.ones(BINS)) > 0.1
    assert evidently(hourly, baseline)[-1]
