"""The statistic and its limit, against scipy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, ncx2, norm

from catwalk.service import pictures, shift


def test_the_statistic_is_that_of_a_contingency_table() -> None:
    from scipy.stats import chi2_contingency

    sample, known = np.array([30, 40, 50]), np.array([100, 100, 100])
    expected = chi2_contingency([sample, known], lambda_="log-likelihood").statistic
    assert shift.statistic(sample, known) == pytest.approx(expected)
    assert shift.statistic([0, 40, 0], [100, 0, 0]) == pytest.approx(
        2 * (140 * np.log(140) - 40 * np.log(40) - 100 * np.log(100))
    )
    assert shift.statistic([0, 0, 0], known) == 0


def test_bins_that_are_empty_in_both_are_no_degrees_of_freedom() -> None:
    assert shift.degrees([3, 0, 0, 0], [5, 6, 0, 0]) == 1
    assert shift.degrees([3, 0, 0, 1], [5, 6, 0, 0]) == 2


@pytest.mark.parametrize("free", [1, 4, 9, 11])
@pytest.mark.parametrize("push", [0.01, 1.0, 30.0, 1_000.0])
def test_the_limit_is_a_little_above_the_exact_quantile(free: int, push: float) -> None:
    for features in (1, 9, 50):
        quantile = shift.level(features)
        exact = ncx2.ppf(norm.cdf(quantile), free, push)
        found = float(shift.limit(free, push, 1.0, 1.0, quantile))
        assert 0.98 * exact < found < (1.12 if free > 1 else 1.35) * exact


def test_nothing_beside_a_reference_of_one_bin_is_no_shift() -> None:
    free, weight = shift.degrees([0, 0], [9, 0]), shift.evidence([0, 0], [9, 0])
    assert shift.statistic([0, 0], [9, 0]) <= shift.limit(free, weight, 0.03, 1.5, 4.0)


def test_the_level_is_a_quarter_of_an_alarm_a_year() -> None:
    assert 8_760 * 7 * norm.sf(shift.level(7)) == pytest.approx(0.25)


def test_independent_examples_have_no_dispersion_and_sessions_have_some() -> None:
    random = np.random.default_rng(0)
    share = np.full(10, 0.1)
    independent = shift.dispersion(random.multinomial(2_000, share, 28))
    in_fives = shift.dispersion(5 * random.multinomial(400, share, 28))
    assert 1.5 <= independent < 1.9
    assert 5 < in_fives / shift.SAFETY < 5 * 1.3
    assert shift.dispersion([[5, 5]]) == shift.dispersion([[5, 0], [9, 0]]) == shift.SAFETY


def test_the_median_is_that_of_the_distribution() -> None:
    for free in (1, 4, 9, 30):
        assert shift._median(free) == pytest.approx(chi2.median(free), rel=0.04)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (lambda image: image + 0.1, {"brightness", "border"}),
        (lambda image: image * 0.5, {"brightness", "contrast", "edges"}),
        (lambda image: np.swapaxes(image, 1, 2), {"orientation"}),
    ],
)
def test_a_change_moves_the_features_that_are_about_it(change, moved) -> None:  # type: ignore[no-untyped-def]
    image = np.zeros((1, 12, 12), dtype=np.float32)
    image[:, 2:10, 4:8] = 0.8
    before, after = pictures.features(image)[0], pictures.features(change(image))[0]
    found = {name for name, old, new in zip(pictures.NAMES, before, after, strict=True) if abs(old - new) > 0.01}
    assert found == moved


def test_integers_and_colours_are_the_same_pictures() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    colours = np.repeat(whole[..., None], 3, axis=3)
    assert np.allclose(pictures.features(whole), pictures.features(whole / 255), atol=1e-5)
    assert np.allclose(pictures.features(whole), pictures.features(colours), atol=1e-5)
