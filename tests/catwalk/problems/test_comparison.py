"""What a paired test concludes, and when it says that it can't tell."""

from __future__ import annotations

import numpy as np
import pytest

from catwalk.errors import InputError
from catwalk.problems.binary import Binary
from catwalk.problems.comparison import STANDARD_ERRORS, PairedTest, compare
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.paired.pairing import Keyed, Pairs, pair
from catwalk.problems.regression import Regression
from catwalk.problems.slices import checked, regressions, slice_scores

N = 2_000
RANDOM = np.random.default_rng(8)
BASE = np.abs(RANDOM.normal(size=N))
NOISE = RANDOM.normal(0, 0.1, N)
NOISE -= NOISE.mean()


def errors(gain: float, noise: float = 1.0, n: int = N) -> PairedTest:
    """Returns absolute errors that are smaller by this amount, and differ by this much noise."""
    truth = np.zeros(n)
    return compare(Regression("EUR"), truth, BASE[:n] - gain + noise * NOISE[:n], BASE[:n])


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.02, "better"), (-0.02, "worse"), (0.0, "indistinguishable"), (-0.002, "indistinguishable")]
)
def test_four_verdicts(gain: float, verdict: str) -> None:
    found = errors(gain)
    assert (found.verdict, found.why) == (verdict, "")
    assert found.estimate == pytest.approx(gain, abs=1e-12)
    assert found.interval[0] < gain < found.interval[1]
    assert (found.metric.name, found.metric.unit, found.test) == ("mae", "EUR", "Student's paired t-test")
    assert found.margin == pytest.approx(0.05 * BASE.mean())


def test_a_difference_beyond_the_margin_that_is_not_excluded_is_inconclusive() -> None:
    scale = 0.99 * 0.05 * BASE.mean() / (STANDARD_ERRORS * NOISE.std(ddof=1) / np.sqrt(N))
    found = errors(-0.025, noise=scale)
    assert found.p > 0.01 and found.examples_needed <= N
    assert found.verdict == "inconclusive"
    assert found.why.startswith("A difference of 0.0") and "EUR worse, is not excluded" in found.why


def test_a_test_set_that_is_too_small_says_how_many_examples_it_needs() -> None:
    found = errors(0.0, noise=2, n=40)
    assert found.verdict == "inconclusive"
    assert f"too small for this margin of {found.margin:.4g} EUR: needs n ≥ {found.examples_needed:,}" in found.why
    assert found.why.endswith("has 40.")
    error = found.statistic.standard_error
    assert found.examples_needed == pytest.approx(40 * (STANDARD_ERRORS * error / found.margin) ** 2, abs=1)
    assert round(STANDARD_ERRORS, 2) == 2.49


def test_a_clear_difference_needs_no_larger_test_set() -> None:
    found = errors(0.5, noise=10, n=200)
    assert found.examples_needed > 200
    assert found.verdict == "better"


@pytest.mark.parametrize(("positives", "verdict"), [(99, "inconclusive"), (100, "better")])
def test_a_hundred_positives_are_enough(positives: int, verdict: str) -> None:
    labels = np.arange(5_000) < positives
    good, bad = (Binary().measure(labels, np.where(labels, up, 0.01)) for up in (0.5, 0.02))
    found = compare(Binary(), good.labels, good.loss, bad.loss)
    assert found.verdict == verdict
    if verdict == "inconclusive":
        assert found.why == "There are 99 examples of class 1; a comparison needs 100 of each."


def test_another_margin_is_used() -> None:
    loss = np.zeros(100)
    assert compare(Multiclass(), loss, loss, loss).margin == 0.005
    assert compare(Multiclass(), loss, loss, loss, margin=0.02).margin == 0.02
    assert compare(Multiclass(), loss, loss, loss).verdict == "indistinguishable"


# --- slices


def test_a_slice_has_its_own_figure() -> None:
    outcome = Regression().measure([0.0] * 4, [1.0, 1.0, 3.0, 5.0])
    found = slice_scores(Regression(), outcome, checked({"land": ["a", "a", "b", "b"]}, 4))
    assert {value: (score.examples, score.metric) for value, score in found["land"].items()} == {
        "a": (2, 1.0),
        "b": (2, 4.0),
    }


def test_a_slice_without_a_figure_has_none() -> None:
    outcome = Binary(metric="auc").measure([0, 1, 0, 0], [1.0, 2.0, 3.0, 4.0])
    found = slice_scores(Binary(metric="auc"), outcome, checked({"land": [1, 1, 2, 2]}, 4))
    assert (found["land"]["1"].metric, found["land"]["2"].metric) == (1.0, None)


def test_the_slice_that_got_worse_comes_first_with_a_corrected_p() -> None:
    land = np.repeat(["de", "fr", "it", "us"], N // 4).astype(object)
    mine = BASE + NOISE
    mine[land == "it"] += 0.05
    found = regressions(Regression(), np.zeros(N), mine, BASE, {"land": land})
    assert (found[0].slice, found[0].value) == ("land", "it")
    assert found[0].p == pytest.approx(4 * found[0].statistic.p_worse)
    assert found[0].p < 1e-6 and all(other.p > 0.05 for other in found[1:])


def test_a_slice_of_a_few_examples_is_not_tested() -> None:
    land = np.where(np.arange(N) < 29, "small", "large").astype(object)
    found = regressions(Regression(), np.zeros(N), BASE, BASE, {"land": land})
    assert [difference.value for difference in found] == ["large"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["de"], "slices: expected a dict of name → values, shape (2,); got list"),
        ({"land": ["de"]}, "slices['land']: expected a value for each label, shape (2,); got text, shape (1,)"),
    ],
)
def test_slices_of_another_shape_are_refused(given: object, told: str) -> None:
    with pytest.raises(InputError) as raised:
        checked(given, 2)  # type: ignore[arg-type]
    assert str(raised.value) == told


def test_a_slice_for_every_customer_is_refused() -> None:
    with pytest.raises(InputError, match=r"slices\['id'\]: expected at most 200 different values; got 1,000"):
        checked({"id": range(1_000)}, 1_000)


# --- pairs


def keyed(keys: range, add: float = 0.0) -> Keyed:
    """Each key's loss is the key itself plus a constant."""
    return Keyed(np.array(keys), np.array(keys, dtype=float) + add)


def test_common_keys_are_paired_in_any_order() -> None:
    shuffled = np.random.default_rng(1).permutation(np.arange(500, 1_500))
    found = pair(keyed(range(400, 1_400)), Keyed(shuffled, shuffled + 0.5))
    assert (found.how, len(found.rows)) == ("keys", 900)
    assert (found.baseline - found.challenger == 0.5).all()
    assert found.challenger.tolist() == list(range(500, 1_400))
    assert found.rows.tolist() == list(range(100, 1_000))
    assert found.sentence == "Compared by key: 900 of 1,000 test examples are in both test sets."


@pytest.mark.parametrize(
    ("n", "common", "how"),
    [(500, 500, "keys"), (499, 499, "inconclusive"), (1_000, 800, "keys"), (1_000, 799, "inconclusive")],
)
def test_five_hundred_and_four_fifths_are_enough(n: int, common: int, how: str) -> None:
    assert pair(keyed(range(n)), keyed(range(n - common, 2 * n))).how == how


def test_with_other_examples_the_other_model_is_scored_again() -> None:
    mine, asked = keyed(range(1_000)), np.full(1_000, 7.0)
    found = pair(mine, keyed(range(900, 1_900)), asked)
    assert (found.how, found.baseline is asked, len(found.rows)) == ("rescored", True, 1_000)
    assert "only 100 of 1,000 test examples" in found.sentence


def test_without_that_nothing_is_compared_and_the_result_says_so() -> None:
    found: Pairs = pair(keyed(range(1_000)), keyed(range(900, 1_900)))
    assert (found.how, len(found.rows), len(found.challenger), len(found.baseline)) == ("inconclusive", 0, 0, 0)
    assert found.sentence == (
        "Not comparable: 100 of 1,000 test examples are in both test sets, and a comparison needs 500 and 80% of them."
    )


def test_keys_that_repeat_or_are_too_few_are_refused() -> None:
    with pytest.raises(InputError, match=r"keys: expected a unique key for each example; got .*'b'.* 2 times"):
        Keyed(np.array(["a", "b", "b"]), np.zeros(3))
    with pytest.raises(InputError, match=r"keys: expected a key for each loss, shape \(3,\); got shape \(2,\)"):
        Keyed(np.array(["a", "b"]), np.zeros(3))
