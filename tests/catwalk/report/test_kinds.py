"""Pages of runs that were logged: what each kind of problem has, and nothing that it has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.ledger.runs import Ledger
from catwalk.report.build import Report, build
from catwalk.storage.opening import open_store
from catwalk.tracking import opening
from tests.catwalk.report.conftest import check_page

N = 2_000
KEYS = np.arange(N)
HALF = {"half": np.where(KEYS < N // 2, "first", "second")}
NEVER = ("Confusion matrix", "test images", "Example predictions", "Worst mistakes", " in S3", "not ended", "by class")
"""What says nothing of a table."""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty ledger in a folder, whose runs may ship."""
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    monkeypatch.delenv("CATWALK_STATSD", raising=False)
    yield Ledger(open_store())
    opening.open_models.clear()


def logged(model: str, problem: Any, labels: Any, scores: Any, epochs: int = 3, **options: Any) -> str:
    """The id of a run that has logged a test, and epochs with a metric that records have no field for."""
    with catwalk.run(model, problem) as run:
        for number in range(1, epochs + 1):
            run.epoch(number, train={"loss": 1 / number}, validation={"loss": 1.1 / number, "gini": 1 - 1 / number})
        run.model(model.encode())
        run.test(labels, scores, **{"keys": KEYS, **options})
    return str(run.run_id)


def demand(noise: float, **options: Any) -> str:
    truth = np.random.default_rng(1).gamma(2, 50, N)
    return logged(
        "demand", catwalk.Regression("EUR"), truth, truth + noise * np.random.default_rng(2).normal(0, 10, N), **options
    )


def churn(noise: float, costs: Any = (1, 25), **options: Any) -> str:
    labels = (KEYS % 5 == 0).astype(int)
    scores = np.clip(0.2 + 0.6 * labels + noise * np.random.default_rng(3).standard_normal(N), 0.01, 0.99)
    return logged("churn", catwalk.Binary(threshold=0.5, costs=costs), labels, scores, **options)


def tickets(noise: float, classes: Any = 100, named: bool = True, **options: Any) -> str:
    labels = KEYS % classes
    scores = np.eye(classes)[labels] + noise * np.random.default_rng(4).standard_normal((N, classes))
    problem = catwalk.Multiclass([f"queue {number}" for number in range(classes)] if named else ())
    return logged("tickets", problem, labels, scores, **options)


def shown(ledger: Ledger, run_id: str) -> tuple[Report, str]:
    report = build(ledger.run(run_id))
    assert report.missing == {}
    return report, check_page(report.html).text


TRAINED = {"loss_and_accuracy", "other_metrics", "stage_durations"}


def test_a_regression_shows_its_errors_in_its_unit(ledger: Ledger) -> None:
    first, second = demand(2, slices=HALF), demand(1, slices=HALF)
    report, text = shown(ledger, second)
    assert set(report.figures) == {
        *TRAINED, "predicted_against_true", "residuals", "error_by_quantile", "headline_over_runs",
    }  # fmt: skip
    assert not [words for words in NEVER if words in text]
    assert "lower is bettermean absolute error" in text and "higher is bettershare of the target's variance" in text
    mae = ledger.run(second).evaluation().metrics["mae"]  # type: ignore[union-attr]
    assert f"mae{mae:.4g} EUR{2 * mae:.4g} EUR{-mae:+.4g} EUR" in text, "beside the champion's"
    assert "half first1,000" in text and text.count("✓ not worse") == 2 and "Holm-corrected over all 2" in text
    assert any(f"champion, {first}" in svg for svg in check_page(report.html).figures)
    assert "Gini by epoch" in text and "%" not in text[text.index("better than the champion") : text.index("in words")]


def test_the_checks_of_a_decision_have_the_unit_of_what_they_measure(ledger: Ledger) -> None:
    demand(2)
    _, text = shown(ledger, demand(1))
    assert "quality✓ passed" in text and " EUR" in text[text.index("quality✓ passed") :][:40]
    assert "points" not in text.partition("At a glance")[0], "bicycles and euros are not counted in points"


def test_a_yes_or_no_model_shows_what_a_threshold_would_cost(ledger: Ledger) -> None:
    churn(0.5, slices=HALF)
    report, text = shown(ledger, churn(0.2, slices=HALF))
    assert set(report.figures) == {
        *TRAINED, "roc", "precision_recall", "thresholds", "reliability", "headline_over_runs",
    }  # fmt: skip
    assert not [words for words in NEVER if words in text]
    assert "at 1 a false positive and 25 a missed positive" in text and "the threshold in use" in text
    assert "log loss" in text and " nats" in text and "half second1,000" in text


def test_scores_that_are_no_probabilities_have_no_reliability(ledger: Ledger) -> None:
    labels = (KEYS % 5 == 0).astype(int)
    run_id = logged("churn", catwalk.Binary(metric="auc"), labels, labels + np.random.default_rng(1).normal(0, 1, N))
    report, text = shown(ledger, run_id)
    assert "reliability" not in report.figures and "Reliability" not in text and "roc" in report.figures


@pytest.mark.parametrize("named", [True, False])
def test_of_a_hundred_classes_the_worst_twenty_and_the_largest_confusions(ledger: Ledger, named: bool) -> None:
    champion = tickets(0.5, named=named)
    report, text = shown(ledger, tickets(0.4, named=named))
    assert set(report.figures) == {*TRAINED, "class_accuracy", "confusion_matrix", "accuracy_over_runs"}
    assert "The 20 classes with the lowest accuracy, of 100." in text and "Largest confusions" in text
    assert "The champion is not shown" not in text and champion in text
    assert "Example predictions" not in text and "Reliability" not in text


def test_a_run_without_epochs_data_or_slices_shows_none(ledger: Ledger) -> None:
    report, text = shown(ledger, demand(1, epochs=0))
    assert not TRAINED - {"stage_durations"} & set(report.figures)
    for words in (
        "by epoch",
        "Dataset",
        "Slices",
        "epochs",
        "0 threads",
        "trainable parameters",
        "seed",
        "about 1 run",
    ):
        assert words not in text, words


def test_a_run_that_named_its_data_shows_it_beside_the_champions(ledger: Ledger) -> None:
    for day in ("2026-11-25", "2026-11-26"):
        with catwalk.run("demand", catwalk.Regression()) as run:
            run.data(as_of=day, source="warehouse", statistics={"mean_price": 3.5})
            run.model(b"m")
            run.test(KEYS * 1.0, KEYS + 1.0, keys=KEYS)
    _, text = shown(ledger, run.run_id)
    assert "as of2026-11-262026-11-25" in text and "mean price3.50003.5000+0.0000" in text and "warehouse" in text


def test_slices_that_got_worse_are_named_and_many_are_cut(ledger: Ledger) -> None:
    truth = np.random.default_rng(1).gamma(2, 50, N)
    group = {"group": [f"g{number % 40}" for number in KEYS]}
    worse = np.where(KEYS % 40 == 7, 30.0, 1.0)
    for error in (np.ones(N), worse):
        with catwalk.run("demand", catwalk.Regression()) as run:
            run.model(b"m")
            run.test(truth, truth + error * (1 + 0.01 * (KEYS % 3)), keys=KEYS, slices=group)
    _, text = shown(ledger, run.run_id)
    slices = text[text.index("Slices") : text.index("Figures")]
    assert slices.count("g") and "group g750" in slices and slices.count("✗ worse") == 1
    assert "The 20 that got worse most clearly, of 40." in slices


def test_without_common_keys_the_page_says_so(ledger: Ledger) -> None:
    demand(2, keys=None, slices=HALF)
    _, text = shown(ledger, demand(1, slices=HALF))
    assert "nothing names run" in text and "verdict" in text and "✓ not worse" not in text


@pytest.mark.parametrize("make", [demand, churn, tickets])
def test_a_run_that_fails_before_its_test_lacks_what_is_measured(ledger: Ledger, make: Callable[..., str]) -> None:
    make(1.0)
    record = ledger.run(sorted(entry.key for entry in ledger.store.list("runs/"))[0].split("/")[1]).record
    with pytest.raises(RuntimeError), catwalk.run(record.model, catwalk.Regression()) as run:
        raise RuntimeError("no disk")
    report = build(ledger.run(run.run_id))
    text = check_page(report.html).text
    assert "This run has no decision: it failed" in text and "Missing are a trained model, a test score" in text
    assert set(report.missing) >= {"residuals"} and "example_predictions" not in report.missing
