"""The ship decision: floors, McNemar's test, margins, classes, and the reason given."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from catwalk.gate.anchor import Figures, anchor_fresh
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, OwnTest, Ruling, floor_checks, rule
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.problems.paired.differences import Discordance, Integers, at_most, holm
from ml.fashion_mnist.config import CLASSES

N = 10_000
LABELS: Integers = np.arange(N, dtype=np.int64) % 10


def predictions(wrong: int, start: int = 0) -> Integers:
    """Returns answers that are right except on `wrong` images in a row, which spread evenly over the classes."""
    predicted = LABELS.copy()
    predicted[start : start + wrong] = (predicted[start : start + wrong] + 1) % 10
    return predicted


def evaluation(predicted: Integers, **changes: Any) -> EvaluationRecord:
    right = predicted == LABELS
    recall = [float(right[label == LABELS].mean()) for label in range(10)]
    record = EvaluationRecord(
        model_sha256="m",
        dataset_sha256="d",
        examples=N,
        accuracy=float(right.mean()),
        loss=0.3,
        calibration_error=0.02,
        class_accuracy=recall,
        class_precision=recall,
        class_f1=recall,
        confusion=[],
        inference_seconds=0.5,
        finished=0.0,
        classes=list(CLASSES),
    )
    return dataclasses.replace(record, **changes)


SAME = Examples.of({b"1", b"2"}, {b"1", b"2"})
NEWER = Examples.of({b"1", b"2", b"3"}, {b"1", b"2"})


def ruled(challenger: Integers, *baselines: Baseline, **changes: Any) -> Ruling:
    given: dict[str, Any] = {"examples": SAME, "model_bytes": 1, "problem": "", "config": GateConfig(), **changes}
    score = given.pop("evaluation", None) or evaluation(challenger)
    return rule(score, LABELS, challenger, baselines, **given)


def champion(predicted: Integers) -> Baseline:
    return Baseline("champion", "champion-run", predicted)


def anchor(predicted: Integers) -> Baseline:
    return Baseline("anchor", "anchor-run", predicted)


def check(ruling: Ruling, name: str) -> CheckRecord:
    return next(entry for entry in ruling.checks if entry.check == name)


def outcome(ruling: Ruling) -> tuple[str, str]:
    return ruling.decision, ruling.reason


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [(0.8799, "failed"), (0.88, "passed"), (1.0, "passed"), (0, "failed")]
)
def test_the_floor_itself_passes_and_anything_below_fails(accuracy: float, verdict: str) -> None:
    found = floor_checks(evaluation(LABELS, accuracy=accuracy), 1, GateConfig())[0]
    assert (found.check, found.verdict, found.value, found.threshold) == ("accuracy_floor", verdict, accuracy, 0.88)
    assert "floor of 88.00%" in found.sentence


def test_the_recall_floor_names_the_class() -> None:
    score = evaluation(LABELS, class_accuracy=[0.9] * 6 + [0.59] + [0.9] * 3)
    ruling = ruled(LABELS, evaluation=score)
    assert outcome(ruling) == ("hold", "floor")
    assert "Recall of shirt 59.00% is below the floor of 60.00%." in ruling.sentence


def test_badly_calibrated_probabilities_hold() -> None:
    ruling = ruled(LABELS, evaluation=evaluation(LABELS, calibration_error=0.051))
    assert outcome(ruling) == ("hold", "calibration")
    assert "Calibration error 5.10% exceeds the cap of 5.00%." in ruling.sentence


def test_caps_on_size_and_time_apply_only_if_they_are_set() -> None:
    assert not {"model_bytes", "inference_seconds"} & {entry.check for entry in ruled(LABELS).checks}
    capped = GateConfig(model_bytes_cap=100, inference_seconds_cap=0.01)
    ruling = ruled(LABELS, model_bytes=101, config=capped)
    assert outcome(ruling) == ("hold", "floor")
    assert check(ruling, "model_bytes").verdict == "failed"
    assert check(ruling, "inference_seconds").value == pytest.approx(0.05)


def test_the_first_model_needs_only_the_floors() -> None:
    assert outcome(ruled(predictions(1_000))) == ("ship", "first")
    assert outcome(ruled(predictions(1_300))) == ("hold", "floor")


def test_a_clearly_better_model_ships_and_a_clearly_worse_one_is_held() -> None:
    good, bad = predictions(900), predictions(1_000)
    better = ruled(good, champion(bad))
    assert outcome(better) == ("ship", "better")
    assert better.sentence.startswith("Ship: better than the champion. ")
    assert "+1.00 points, only it is right on 100 of 10,000 examples, and only the other on 0" in better.sentence
    assert outcome(ruled(bad, champion(good), examples=NEWER)) == ("hold", "worse")


@pytest.mark.parametrize("wrong", [0, 500, 1_000])
def test_a_model_compared_with_itself_is_never_better(wrong: int) -> None:
    same = predictions(wrong)
    ruling = ruled(same, champion(same), anchor(same))
    assert outcome(ruling) == ("hold", "no_better")
    assert check(ruling, "better").verdict == "inconclusive"
    assert check(ruling, "class_regression").value == 1.0


def test_as_good_ships_only_with_newer_data() -> None:
    one, other = predictions(1_000), predictions(1_000, start=40)
    held, shipped = ruled(one, champion(other)), ruled(one, champion(other), examples=NEWER)
    assert outcome(held) == ("hold", "no_better")
    assert held.sentence.endswith("No newer data: it learnt from the same examples as the champion.")
    assert check(held, "newer_data").verdict == "skipped"
    assert outcome(shipped) == ("ship", "newer_data")
    assert shipped.sentence.endswith("Newer data: it learnt from all examples of the champion, and from 1 more.")
    assert check(shipped, "newer_data").verdict == "passed"


@pytest.mark.parametrize(
    ("challenger", "newer", "sentence"),
    [
        ("abc", True, "from 1 more."),
        ("ab", False, "the same examples as the champion."),
        ("a", False, "it lacks 1 of the champion's 2 examples."),
        ("xyz", False, "it lacks 2 of the champion's 2 examples."),
        ("bcdefgh", False, "it lacks 1 of the champion's 2 examples."),
    ],
)
def test_only_a_proper_superset_is_newer_data(challenger: str, newer: bool, sentence: str) -> None:
    found = Examples.of(set(challenger), set("ab"))  # type: ignore[arg-type]
    assert found.newer is newer
    assert found.sentence.endswith(sentence)


def test_without_a_champion_the_age_of_the_data_does_not_matter() -> None:
    assert "newer_data" not in {entry.check for entry in ruled(LABELS).checks}


def test_too_uncertain_to_be_within_the_margin_is_inconclusive() -> None:
    """Five hundred images each way: no difference found, but a difference of 0.5 points isn't excluded either."""
    ruling = ruled(predictions(1_000, start=530), champion(predictions(970)), examples=NEWER)
    assert check(ruling, "better").verdict == "inconclusive"
    assert outcome(ruling) == ("hold", "inconclusive")


def test_the_anchor_stops_slow_erosion() -> None:
    """The challenger is within the margin of the champion, but not of the best model ever promoted."""
    ruling = ruled(predictions(1_020), champion(predictions(1_000)), anchor(predictions(940)), examples=NEWER)
    assert check(ruling, "not_inferior_champion").verdict == "passed"
    assert check(ruling, "not_inferior_anchor").verdict == "failed"
    assert outcome(ruling) == ("hold", "worse")


def rolling(challenger: Integers, predicted: Integers, then: float = 0.9, now: float = 0.9) -> Baseline:
    """An anchor on its own test examples, which have the same number and classes."""
    return Baseline("anchor", "anchor-run", predicted, own=OwnTest(LABELS, challenger, Figures(then, now)))


def test_an_anchor_with_its_own_test_is_compared_there_and_the_champion_on_todays() -> None:
    today, own = predictions(1_000), predictions(1_020)
    ruling = ruled(today, champion(predictions(1_000, start=40)), rolling(own, predictions(940)), examples=NEWER)
    assert check(ruling, "not_inferior_champion").value == 0
    assert check(ruling, "not_inferior_anchor").value == pytest.approx(-0.008)
    assert outcome(ruling) == ("hold", "worse"), "it is worse on the anchor's own examples alone"
    kind = ruled(
        predictions(1_020), champion(predictions(1_020)), rolling(predictions(940), predictions(940)), examples=NEWER
    )
    assert outcome(kind) == ("ship", "newer_data")


def test_a_stale_anchor_lets_only_what_is_better_ship() -> None:
    """This holds whatever its own examples, which come from another distribution, say about the challenger."""
    stale = rolling(predictions(3_000), predictions(940), now=0.894)
    as_good = ruled(predictions(1_000), champion(predictions(1_000, start=40)), stale, examples=NEWER)
    assert outcome(as_good) == ("hold", "anchor_stale")
    assert check(as_good, "anchor_fresh").verdict == "failed"
    accuracies = "90.00% on its own test examples and 89.40% on today's, which is less by more than the margin of 0.50%"
    assert accuracies in as_good.sentence
    assert as_good.sentence.endswith("and from 1 more."), "what would speak for it"
    better = ruled(predictions(900), champion(predictions(1_000)), stale, examples=SAME)
    assert outcome(better) == ("ship", "better")
    assert outcome(ruled(predictions(1_000), champion(predictions(1_000)), stale)) == ("hold", "no_better")


@pytest.mark.parametrize(("now", "verdict"), [(0.8951, "passed"), (0.8949, "failed"), (0.95, "passed")])
def test_an_anchor_is_stale_once_it_has_fallen_by_more_than_the_margin(now: float, verdict: str) -> None:
    found = anchor_fresh(Figures(0.9, now), 0.005)
    assert (found.verdict, found.value, found.threshold) == (verdict, now, pytest.approx(0.895))


@pytest.mark.parametrize("role", ["champion", "anchor"])
def test_a_model_that_cannot_score_the_same_examples_makes_it_inconclusive(role: Any) -> None:
    """Figures on other examples decide nothing."""
    known = champion(predictions(1_000)) if role == "anchor" else anchor(predictions(1_000))
    silent = Baseline(role, "gone", None, "its module is gone")
    ruling = ruled(predictions(900), *sorted([known, silent], key=lambda one: one.role, reverse=True), examples=NEWER)
    assert outcome(ruling) == ("hold", "inconclusive")
    assert f"A comparison with the {role} on the same examples is not possible: its module is gone." in ruling.sentence
    assert check(ruling, "precondition").verdict == "passed"


def test_one_class_that_got_worse_blocks_a_better_model() -> None:
    challenger = predictions(500)
    sneakers = np.flatnonzero(LABELS == 7)[100:160]
    challenger[sneakers] = 9
    ruling = ruled(challenger, champion(predictions(800)))
    assert check(ruling, "better").verdict == "passed"
    assert outcome(ruling) == ("hold", "class")
    assert "sneaker got worse" in ruling.sentence


def test_a_champion_that_cannot_be_compared_with_holds() -> None:
    ruling = ruled(LABELS, problem="The champion can't be compared with: it is gone.")
    assert outcome(ruling) == ("hold", "precondition")
    assert "it is gone" in ruling.sentence


def test_the_order_of_the_images_changes_nothing() -> None:
    order = np.random.default_rng(3).permutation(N)
    one, other, best = predictions(950), predictions(1_000, start=30), predictions(940, start=15)
    straight = ruled(one, champion(other), anchor(best))
    shuffled = rule(
        evaluation(one),
        LABELS[order],
        one[order],
        [champion(other[order]), anchor(best[order])],
        SAME,
        model_bytes=1,
        problem="",
        config=GateConfig(),
    )
    assert shuffled == straight


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (60, 40), (130, 90), (3, 900)])
def test_the_tests_match_the_textbook(b: int, c: int) -> None:
    pair = Discordance(b, c, N)
    assert pair.p_value == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0, rel=1e-11)
    assert pair.p_worse == pytest.approx(binomtest(b, b + c, alternative="less").pvalue if b + c else 1.0)
    assert pair.bound(0.0) == pair.difference == (b - c) / N
    assert pair.bound(-1.6) <= pair.difference <= pair.bound(1.6)


@pytest.mark.parametrize("tosses", [0, 1, 2, 7, 90, 1_200])
def test_tails_of_a_fair_coin_are_exact(tosses: int) -> None:
    ways = 0
    for heads in range(tosses + 1):
        ways += math.comb(tosses, heads)
        assert at_most(heads, tosses) == pytest.approx(ways / 2**tosses, rel=1e-11)


def test_tails_of_very_many_tosses_are_numbers() -> None:
    assert at_most(0, 100_000) == 0.0
    assert at_most(100_000, 100_000) == 1.0
    assert at_most(500_000, 1_000_000) == pytest.approx(0.5 + 0.5 / math.sqrt(math.pi * 500_000), rel=1e-8)


def test_one_sided_extremes() -> None:
    assert Discordance(0, 50, N).p_worse == pytest.approx(2.0**-50)
    assert Discordance(50, 0, N).p_worse == 1.0
    assert Discordance.of(LABELS, LABELS, (LABELS + 1) % 10) == Discordance(N, 0, N)


def test_the_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    """2,000 pairs of models that truly differ by 0.3 points and disagree on 2.3 % of the images."""
    generator = np.random.default_rng(1)
    drawn = generator.multinomial(N, [0.0130, 0.0100, 0.9770], size=2_000)
    covered = [Discordance(int(b), int(c), N).bound(-1.6448536) <= 0.003 for b, c, _ in drawn]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("label", [0, 4, 9])
def test_nan_reaches_no_floor(label: int) -> None:
    recall = [0.9] * 10
    recall[label] = math.nan
    score = evaluation(predictions(0), class_accuracy=recall, accuracy=math.nan, calibration_error=math.nan)
    checks = floor_checks(score, 1, GateConfig())
    assert {check.check: check.verdict for check in checks} == dict.fromkeys(
        ("accuracy_floor", "recall_floor", "calibration"), "failed"
    )
