"""Each kind's metrics, losses and paired statistic, compared with textbook values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

import catwalk
from catwalk.errors import ConfigError
from catwalk.problems import KINDS, describe, described
from catwalk.problems.binary import Binary
from catwalk.problems.interface import Problem
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.paired.differences import Discordance
from catwalk.problems.ranking import auc_losses
from catwalk.problems.regression import Regression

PROBLEMS = [
    Multiclass(), Multiclass(("a", "b")), Binary(), Binary(("no", "yes"), threshold=0.3, costs=(1, 20)),
    Binary(metric="auc"), Regression("EUR"),
]  # fmt: skip


def drawn(problem: Problem, n: int = 400, noise: float = 1.0, seed: int = 1) -> tuple[Any, Any]:
    """Returns labels, the same for each seed, and the answers of a model."""
    truth = np.random.default_rng(seed).normal(size=n)
    given = truth + noise * np.random.default_rng(seed + 1 + round(100 * noise)).normal(size=n)
    if isinstance(problem, Regression):
        return truth, given
    if isinstance(problem, Binary):
        return truth > 0.8, given if problem.metric == "auc" else 1 / (1 + np.exp(2 - 2 * given))
    return (truth > 0).astype(int), np.stack([-given, given], axis=1)


def test_the_kinds_are_public_by_name() -> None:
    assert (catwalk.Binary, catwalk.Multiclass, catwalk.Regression) == (Binary, Multiclass, Regression)
    assert set(catwalk.__all__) >= {"Binary", "Multiclass", "Regression"}
    with pytest.raises(AttributeError, match="no attribute 'Ternary'"):
        catwalk.Ternary  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_kind_keeps_the_one_interface(problem: Problem) -> None:
    assert isinstance(problem, Problem)
    labels, scores = drawn(problem)
    outcome = problem.measure(labels, scores)
    assert outcome.loss.shape == outcome.predictions.shape == outcome.labels.shape == (400,)
    headline, known = problem.metrics[0], {metric.name for metric in problem.metrics}
    assert set(outcome.metrics) == known
    mean = float(outcome.loss.mean())
    expected = 1 - mean if headline.goal == "maximize" else mean
    assert outcome.metrics[headline.name] == pytest.approx(expected, rel=1e-12)
    assert problem.margin(outcome.loss) > 0


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_problem_comes_back_from_its_record(problem: Problem) -> None:
    values = describe(problem)
    assert values["kind"] in KINDS
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}  # as JSON
    assert described({**listed, "of a newer version": 1}) == problem


def test_a_record_of_another_kind_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="expected one of the kinds multiclass, binary, regression; got 'ranking'"):
        described({"kind": "ranking"})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Binary(("a", "a")), "classes must name two classes"),
        (lambda: Binary(metric="f1"), "metric must be log_loss or auc; got 'f1'"),  # type: ignore[arg-type]
        (lambda: Binary(costs=(1, 2)), "costs need a threshold"),
        (lambda: Binary(threshold=0.5, costs=(1, -2)), "costs must be two numbers"),
        (lambda: Binary(threshold=0.5, costs=5), "costs must be two numbers"),  # type: ignore[arg-type]
        (lambda: Binary(threshold="half"), "threshold must be a number; got 'half'"),  # type: ignore[arg-type]
        (lambda: Binary(threshold=math.nan), "threshold must be a number; got nan"),
        (lambda: Binary(2), "Binary: classes must be a list of names; got 2"),  # type: ignore[arg-type]
        (lambda: Binary("ab"), "Binary: classes must be a list of names; got 'ab'"),
        (lambda: Multiclass(10), "Multiclass: classes must be a list of names; got 10"),  # type: ignore[arg-type]
        (lambda: Multiclass(("a", "b", "a")), "classes must name each class only once"),
        (lambda: Binary(clip="no"), "clip must be"),  # type: ignore[arg-type]
        (lambda: Binary(clip=0.5), "clip must be between 0 and 0.5"),
        (lambda: Multiclass(("a",)), "classes must name at least two classes"),
    ],
)
def test_absurd_problems_are_refused(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()


def test_classes_whose_numbers_are_far_apart_take_no_more_memory_than_others() -> None:
    far, problem = [7, 7, 10**9, 10**12, 10**12], Multiclass()
    outcome = problem.measure(far, [7, 10**12, 10**9, 10**12, 10**15])
    assert outcome.metrics == problem.measure([0, 0, 1, 2, 2], [0, 2, 1, 2, 3]).metrics
    assert outcome.metrics == pytest.approx({"accuracy": 0.6, "worst_recall": 0.5, "macro_f1": (2 / 3 + 1 + 1 / 2) / 3})
    assert problem.slices(outcome.labels)["class"].tolist() == [str(label) for label in far]


def test_figures_of_many_classes() -> None:
    outcome = Multiclass(("a", "b", "c")).measure([0, 0, 1, 2], [[3, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 3]])
    assert outcome.metrics["accuracy"] == 0.75
    assert outcome.metrics["worst_recall"] == 0.5
    assert outcome.metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    right, wrong = (-math.log(math.exp(logit) / (math.exp(3) + 2)) for logit in (3, 0))
    assert outcome.metrics["log_loss"] == pytest.approx((3 * right + wrong) / 4)


def test_figures_of_yes_or_no() -> None:
    problem = Binary(threshold=0.5, costs=(1, 10))
    found = problem.measure([1, 1, 0, 0, 0], [0.9, 0.4, 0.6, 0.4, 0.1]).metrics
    assert found["auc"] == (3 + 1.5) / 6, "0.4 beats one of three and ties with another"
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.16 + 0.01) / 5)
    assert found["log_loss"] == pytest.approx(-math.log(0.9 * 0.4 * 0.4 * 0.6 * 0.9) / 5)
    assert (found["precision"], found["recall"], found["cost"]) == (0.5, 0.5, (1 + 10) / 5)


def test_a_certain_mistake_has_a_finite_loss() -> None:
    assert Binary().measure([1, 0], [0.0, 0.0]).loss[0] == pytest.approx(-math.log(1e-6))


def test_one_class_alone_has_a_log_loss_and_no_ranking() -> None:
    assert set(Binary().measure([0, 0], [0.1, 0.2]).metrics) == {"log_loss", "brier", "calibration_error"}


def test_figures_of_a_number() -> None:
    found = Regression().measure([1.0, 2.0, 3.0, 6.0], [1.0, 3.0, 1.0, 2.0]).metrics
    assert (found["mae"], found["rmse"], found["median_absolute_error"]) == (1.75, math.sqrt(21 / 4), 1.5)
    assert found["r2"] == pytest.approx(1 - (21 / 4) / 3.5)
    assert "r2" not in Regression().measure([1.0, 1.0], [1.0, 3.0]).metrics, "a constant has no variance to explain"


@pytest.mark.parametrize("problem", [Binary(), Regression("EUR")], ids=str)
def test_a_mean_loss_is_tested_as_scipy_does(problem: Problem) -> None:
    labels, mine = drawn(problem, noise=0.8)
    _, theirs = drawn(problem, noise=1.0)
    ours, others = problem.measure(labels, mine), problem.measure(labels, theirs)
    statistic = problem.paired(ours.labels, ours.loss, others.loss)
    reference = ttest_rel(others.loss, ours.loss)
    assert statistic.difference == pytest.approx(others.loss.mean() - ours.loss.mean())
    assert statistic.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    worse = ttest_rel(others.loss, ours.loss, alternative="less")
    assert statistic.p_worse == pytest.approx(worse.pvalue, rel=1e-9)
    interval = reference.confidence_interval(0.99)
    z = statistic.quantile(0.995)
    assert (statistic.bound(-z), statistic.bound(z)) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_right_and_wrong_are_counted() -> None:
    problem = Multiclass()
    loss = np.array([0.0, 0.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    assert problem.paired(np.zeros(5, dtype=int), *loss) == Discordance(2, 1, 5)


def test_auc_is_tested_as_delong_does() -> None:
    """DeLong, DeLong and Clarke-Pearson (1988), written out: components of both classes, and their covariance."""
    labels, mine = drawn(Binary(metric="auc"), noise=0.8)
    _, theirs = drawn(Binary(metric="auc"), noise=1.2)
    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    wins = [np.sign(score[positive][:, None] - score[negative]) / 2 + 0.5 for score in (mine, theirs)]
    gain = wins[0] - wins[1]
    variance = gain.mean(1).var(ddof=1) / len(positive) + gain.mean(0).var(ddof=1) / len(negative)
    statistic = Binary(metric="auc").paired(labels, auc_losses(labels, mine), auc_losses(labels, theirs))
    assert statistic.difference == pytest.approx(gain.mean(), rel=1e-9)
    assert statistic.standard_error == pytest.approx(math.sqrt(variance), rel=0.01), "except for n − 1"


def test_the_same_answers_in_float32_are_no_difference() -> None:
    labels, scores = drawn(Binary())
    one, other = Binary().measure(labels, scores), Binary().measure(labels, scores.astype(np.float32))
    assert (one.loss != other.loss).any()
    assert Binary().paired(one.labels, one.loss, other.loss).p_value == 1.0


def test_equal_losses_and_a_constant_lead_are_distinguished() -> None:
    flat = np.ones(50)
    equal, ahead = (Regression().paired(flat, mine, flat) for mine in (flat, flat - 0.5))
    assert (equal.p_value, equal.p_worse) == (1.0, 0.5)
    assert (ahead.p_value, ahead.difference) == (0.0, 0.5)


def test_rare_big_errors_are_in_the_tail() -> None:
    """Errors are smaller on nearly all examples, and twenty on a few: the mean absolute error is the same, the RMSE
    is not.
    """
    theirs, mine = np.ones(1_000), np.full(1_000, 0.7)
    mine[:10] = 30.7
    problem = Regression("EUR")
    assert mine.mean() == pytest.approx(theirs.mean())
    metric, statistic, margin = problem.tail(mine, theirs, 0.05)
    assert (metric.name, margin) == ("rmse", pytest.approx(0.05))
    assert statistic.difference == pytest.approx(1 - math.sqrt((mine**2).mean()))
    assert statistic.bound(-statistic.quantile(0.95)) < -margin


def test_the_tails_standard_error_is_that_of_the_bootstrap() -> None:
    random = np.random.default_rng(4)
    noise = random.normal(size=2_000)
    mine, theirs = np.abs(noise + random.normal(0, 0.4, 2_000)), np.abs(noise + random.normal(0, 0.5, 2_000))
    _, statistic, _ = Regression().tail(mine, theirs, 0.05)
    rows = random.integers(0, 2_000, (500, 2_000))
    again = np.sqrt((theirs[rows] ** 2).mean(1)) - np.sqrt((mine[rows] ** 2).mean(1))
    assert statistic.standard_error == pytest.approx(again.std(), rel=0.12)
