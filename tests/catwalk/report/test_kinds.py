"""Pages of logged runs: what each kind of problem has, and nothing that it doesn't have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.ledger.runs import Ledger
from catwalk.report.build import Report, build
from catwalk.report.comparison import page as compare_page
from catwalk.report.comparison.differences import Comparison, compare
from catwalk.report.facts import read_facts
from catwalk.report.figures import curves, history
from catwalk.storage.opening import open_store
from catwalk.tracking import opening
from tests.catwalk.report.conftest import check_page
from tests.catwalk.report.test_figures import check_drawing

pytestmark = pytest.mark.drawing

N = 2_000
KEYS = np.arange(N)
HALF = {"half": np.where(KEYS < N // 2, "first", "second")}
NEVER = ("Confusion matrix", "test images", "Example predictions", "Worst mistakes", " in S3", "not ended", "by class")
"""Values that mean nothing in a table."""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty ledger in a folder, whose runs may ship."""
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    monkeypatch.delenv("CATWALK_STATSD", raising=False)
    yield Ledger(open_store())
    opening.open_models.clear()


def logged(model: str, problem: Any, labels: Any, scores: Any, epochs: int = 3, **options: Any) -> str:
    """Returns the id of a run that has logged a test, and epochs with a metric that records have no field for."""
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
    assert "maelower is better" in text and "r2higher is better" in text and "root of the mean squared error" in text
    mae = ledger.run(second).evaluation().metrics["mae"]  # type: ignore[union-attr]
    assert f"maelower is better{mae:.4g} EUR{2 * mae:.4g} EUR{-mae:+.4g} EUR" in text, "beside the champion's"
    assert "half first1,000" in text and text.count("✓ not worse") == 2 and "Holm-corrected over all 2" in text
    assert any(f"champion, {first}" in svg for svg in check_page(report.html).figures)
    assert "Gini by epoch" in text and "%" not in text[text.index("better than the champion") : text.index("in words")]


def test_a_models_limits_are_shown_with_their_reasons_owner_and_links(ledger: Ledger) -> None:
    owned = {"owner": "growth <team>", "links": {"note<b>": 'https://example.org/n?a=1&b="2"'}}
    limits: Any = {"auc": (0.75, "last year's <list> had it"), "log_loss": 0.9, "margin": (0.01, "half a point")}
    limits |= {"champion_age_seconds": (90 * 86_400, "it changes in spring"), "runs_blocked": 5}
    with catwalk.run("churn", catwalk.Binary(), thresholds=limits, **owned) as run:  # type: ignore[arg-type]
        run.test((KEYS % 5 == 0).astype(int), np.where(KEYS % 5 == 0, 0.7, 0.2))
    report, text = shown(ledger, run.run_id)
    told = text[text.index("Limits of this model") : text.index("At a glance")]
    assert "auc, at least0.75last year's <list> had it" in told
    assert "log loss, at most0.9 natsno reason given" in told and "margin0.01 natshalf a point" in told
    assert "alerts, champion age90 dit changes in spring" in told and "alerts, runs blocked5no reason" in told
    assert "ownergrowth <team>" in text
    assert check_page(report.html).links == {'https://example.org/n?a=1&b="2"': "note<b>"}
    assert "Limits of this model" not in shown(ledger, churn(1))[1]


def test_a_link_without_a_web_address_is_only_its_name(ledger: Ledger) -> None:
    """No run of ours stores such a link, but anyone who can write to the ledger could."""
    run = ledger.run(churn(1))
    run.store.put_record(run.key("run.json"), replace(run.record, links={"here": "javascript:alert(1)"}))
    report, text = shown(ledger, run.run_id)
    assert "linkshere" in text and b"javascript" not in report.html


def test_the_checks_of_a_decision_have_the_unit_of_what_they_measure(ledger: Ledger) -> None:
    demand(2)
    _, text = shown(ledger, demand(1))
    assert "quality✓ passed" in text and " EUR" in text[text.index("quality✓ passed") :][:40]
    assert "points" not in text.partition("At a glance")[0], "bicycles and euros are not counted in points"


def test_a_binary_model_shows_what_a_threshold_would_cost(ledger: Ledger) -> None:
    churn(0.5, slices=HALF)
    report, text = shown(ledger, churn(0.2, slices=HALF))
    assert set(report.figures) == {
        *TRAINED, "roc", "precision_recall", "thresholds", "reliability", "headline_over_runs",
    }  # fmt: skip
    assert not [words for words in NEVER if words in text]
    assert "at 1 per false positive and 25 per missed positive" in text and "the threshold in use" in text
    assert "log loss" in text and " nats" in text and "half second1,000" in text


def test_scores_that_are_not_probabilities_have_no_reliability(ledger: Ledger) -> None:
    labels = (KEYS % 5 == 0).astype(int)
    run_id = logged("churn", catwalk.Binary(metric="auc"), labels, labels + np.random.default_rng(1).normal(0, 1, N))
    report, text = shown(ledger, run_id)
    assert "reliability" not in report.figures and "Reliability" not in text and "roc" in report.figures


@pytest.mark.parametrize("named", [True, False])
def test_of_a_hundred_classes_the_worst_twenty_and_the_largest_confusions(ledger: Ledger, named: bool) -> None:
    champion = tickets(0.5, named=named)
    report, text = shown(ledger, tickets(0.4, named=named))
    assert set(report.figures) == {*TRAINED, "class_accuracy", "confusion_matrix", "accuracy_over_runs"}
    assert "The 20 classes with the lowest accuracy, of 100." in text and "Most frequent confusions" in text
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
    assert "The 20 slices that got worse most clearly, of 40." in slices


def test_without_common_keys_the_page_says_so(ledger: Ledger) -> None:
    demand(2, keys=None, slices=HALF)
    _, text = shown(ledger, demand(1, slices=HALF))
    assert "test examples have no keys" in text and "verdict" in text and "✓ not worse" not in text


@pytest.mark.parametrize("make", [demand, churn, tickets])
def test_a_run_that_fails_before_its_test_lacks_what_is_measured(ledger: Ledger, make: Callable[..., str]) -> None:
    make(1.0)
    record = ledger.run(sorted(entry.key for entry in ledger.store.list("runs/"))[0].split("/")[1]).record
    with pytest.raises(RuntimeError), catwalk.run(record.model, catwalk.Regression()) as run:
        raise RuntimeError("no disk")
    report = build(ledger.run(run.run_id))
    text = check_page(report.html).text
    assert "This run has no decision: it failed" in text and "Missing: a trained model, a test score" in text
    assert set(report.missing) >= {"residuals"} and "example_predictions" not in report.missing


def compared(ledger: Ledger, *run_ids: str) -> tuple[Comparison, Report, str]:
    found = compare(ledger.store, run_ids)
    report = compare_page.build(found)
    return found, report, check_page(report.html).text


def test_regressions_are_compared_by_key_in_their_unit(ledger: Ledger) -> None:
    runs = demand(2, slices=HALF), demand(1, slices=HALF)
    found, report, text = compared(ledger, *runs)
    (pair,) = found.pairs
    maes = [ledger.run(run_id).evaluation().metrics["mae"] for run_id in runs]  # type: ignore[union-attr]
    assert pair.overall and pair.overall.significant and pair.overall.better and not pair.why
    assert pair.overall.value == pytest.approx(maes[1] - maes[0]) and pair.overall.low < pair.overall.value < 0
    assert list(pair.slices) == ["half first", "half second"] and not pair.classes
    assert not found.parameters, "a seed that no run has used is not a difference"
    assert set(report.figures) == {"loss", "metric_1", "test_mae"} and report.missing == {}
    assert (
        "difference, EUR" in text
        and "Student's paired t-test" in text
        and "1 better and 0 worse than the baseline" in text
    )
    assert f"{maes[1]:.4g} EUR ({maes[1] - maes[0]:+.4g})" in text and "maelower is better" in text
    assert not [words for words in (*NEVER, "points", "McNemar") if words in text]


def test_runs_with_many_classes_are_compared_by_those_that_differ_most(ledger: Ledger) -> None:
    found, report, text = compared(ledger, tickets(0.6), tickets(0.3))
    (pair,) = found.pairs
    assert pair.overall and pair.overall.better and len(pair.classes) == 100
    assert "class_differences" in report.figures and "disagreements" not in {*report.figures, *report.missing}
    assert "The 20 classes with the largest differences, of 100." in text and "McNemar's exact test" in text


def test_binary_models_compared_on_part_of_the_examples_say_on_which(ledger: Ledger) -> None:
    found, _, text = compared(ledger, churn(0.5), churn(0.2, keys=KEYS + 200))
    (pair,) = found.pairs
    assert pair.overall and pair.note.startswith("Compared by key: 1,800 of 2,000") and pair.note in text
    assert "auchigher is better" in text


def test_runs_of_different_kinds_say_what_applies(ledger: Ledger) -> None:
    found, report, text = compared(ledger, churn(0.3), demand(1), tickets(0.3))
    assert [pair.why for pair in found.pairs] == [
        f"A {kind} model can't be compared with a binary model, which is the baseline's."
        for kind in ("regression", "multiclass")
    ]
    assert "different kinds of problem (binary, regression, multiclass)" in text
    assert "comparable" not in text and report.missing == {} and "test_log_loss" in report.figures
    assert "mae " in text and "2 of 3 runs have no test result, or are of another kind." in text


def test_runs_that_cannot_be_paired_show_the_metrics_that_both_have(ledger: Ledger) -> None:
    found, _, text = compared(ledger, demand(2, keys=None), demand(1))
    assert found.pairs[0].overall is None and "test examples have no keys" in found.pairs[0].why
    assert "rmselower is better" in text and found.change(found.metrics[0], found.entries[1]) is not None


def test_one_night_far_off_does_not_flatten_a_history_that_should_fall(ledger: Ledger) -> None:
    for noise in (1.0, 1.1, 0.9, 1.05, 60.0):
        demand(noise, epochs=0)
    last = demand(1.0, epochs=0)
    drawing = history.headline_over_runs(read_facts(ledger.run(last)))
    check_drawing(drawing)
    assert drawing.figure.axes[0].get_ylim()[1] < 12 and "1 far above the others, up to 477" in drawing.note
    assert "lower is better" in drawing.figure.axes[0].texts[0].get_text() and "rank 2" in drawing.alt


def test_a_training_that_counts_in_steps_is_drawn_over_steps(ledger: Ledger) -> None:
    with catwalk.run("llm", catwalk.Regression("EUR")) as run:
        for step in range(500, 10_000_001, 99_500):
            run.step(step, train={"loss": 1e6 / step}, validation={"loss": 2e6 / step, "perplexity": 9.0})
    facts = read_facts(ledger.run(run.run_id))
    for drawing in (curves.loss_and_accuracy(facts), curves.other_metrics(facts)):
        check_drawing(drawing)
        assert drawing.title.endswith(" by step") and "over 101 steps" in drawing.alt
        assert "step" in {axes.get_xlabel() for axes in drawing.figure.axes}
    assert "in step 9950500 of 9950500" in curves.loss_and_accuracy(facts).note
