from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import MAX_EPOCHS, TrainingRecord
from catwalk.replay.points import left_out, run_points
from catwalk.telemetry import catalogue, points
from catwalk.telemetry.points import (
    MAX_SERIES,
    epoch_points,
    fixed_series,
    kept,
    series_budget,
    series_left_out,
    stage_points,
)


def series(found: list[points.Point]) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {(point.metric.name, tuple(sorted(point.labels.items()))) for point in found}


def test_an_epoch_says_what_happened_and_when(run_record: RunRecord, make_epoch: Any) -> None:
    found = epoch_points(run_record, make_epoch(3))
    assert len(found) == len(series(found)) == 19
    assert {point.time for point in found} == {1_003.0}
    loss = {point.labels["split"]: point for point in found if point.metric is catalogue.EPOCH_LOSS}
    assert (loss["train"].value, loss["validation"].value) == (0.41, 0.5)
    assert loss["train"].labels == {
        "run_id": "20261123T030000Z-7f3a90c1",
        "model": "mlp",
        "split": "train",
        "epoch": "3",
    }
    by_class = [point for point in found if point.metric is catalogue.EPOCH_CLASS_ACCURACY]
    assert [(point.labels["class"], point.value) for point in by_class[:2]] == [("t-shirt-top", 0.0), ("trouser", 0.1)]


def test_a_confusion_matrix_keeps_rows_and_columns_apart(run_record: RunRecord, evaluation: EvaluationRecord) -> None:
    found = points.test_points(run_record, evaluation)
    cells = {
        (point.labels["true_class"], point.labels["predicted_class"]): point.value
        for point in found
        if point.metric is catalogue.TEST_CONFUSION
    }
    assert cells["t-shirt-top", "trouser"] == 1
    assert cells["trouser", "t-shirt-top"] == 10


def test_every_point_has_the_labels_of_its_metric(make_run: Any, make_regression: Any) -> None:
    for point in run_points(make_run()) + run_points(make_regression()):
        assert set(point.labels) == set(point.metric.labels), point.metric.name


def test_every_run_gauge_of_the_catalogue_is_sent(make_run: Any, make_regression: Any) -> None:
    declared = {metric for metric in catalogue.by_transport("statsd") if metric.kind == "gauge"}
    assert {point.metric for point in run_points(make_run()) + run_points(make_regression())} == declared


def named(found: list[points.Point], family: catalogue.Metric) -> dict[tuple[str, ...], float]:
    labels = tuple(name for name in family.labels if name not in ("run_id", "model"))
    return {tuple(point.labels[name] for name in labels): point.value for point in found if point.metric is family}


def test_a_metric_without_its_own_family_is_sent_by_its_name(make_regression: Any) -> None:
    run = make_regression(1)
    epoch = replace(
        run.training().epochs[0], metrics={"train": {"mae": 2.5}, "holdout": {"loss": -3.0, "r2/log": -0.5}}
    )
    found = epoch_points(run.record, epoch)
    assert len(found) == len(series(found)) == points.series_of_epoch(run.record, epoch) == 7
    assert named(found, catalogue.EPOCH_METRIC) == {("train", "mae", "1"): 2.5, ("holdout", "r2/log", "1"): -0.5}
    assert named(found, catalogue.EPOCH_LOSS) == {
        ("train", "1"): 0.41,
        ("validation", "1"): 0.5,
        ("holdout", "1"): -3.0,
    }
    assert named(found, catalogue.EPOCH_INDEX) == {("1",): 1}


def test_a_test_sends_each_metric_and_the_headline_of_each_slice(make_regression: Any) -> None:
    run = make_regression()
    found = points.test_points(run.record, run.evaluation())
    assert {point.metric for point in found} == {catalogue.TEST_METRIC}
    assert named(found, catalogue.TEST_METRIC) == {
        ("mae", "", ""): 3.25,
        ("rmse", "", ""): 4.5,
        ("r2", "", ""): -0.5,
        ("mae", "country", "PT"): 3.0,
    }


@pytest.mark.parametrize("budget", [None, 0, 88, 89, 92, 93, 200, 1_000, MAX_SERIES])
@pytest.mark.parametrize("planned", [0, 40])
def test_anything_that_a_script_logs_stays_below_its_budget_and_the_rest_is_counted(
    make_regression: Any, budget: int | None, planned: int
) -> None:
    """Each epoch logs another set of metrics, up to three times as many as there is room for, and NaN for good
    measure.
    """
    run, chance = make_regression(300, series_budget=budget, config={}, planned_epochs=planned), random.Random(7)
    history = run.training().epochs
    for number, epoch in enumerate(history):
        names = {f"metric {each}": math.nan for each in range(chance.choice([0, 1, 16, 50]))}
        history[number] = replace(epoch, validation_loss=math.nan, metrics={"validation": names})
    tested = replace(run.evaluation(), metrics={f"metric {each}": -1.0 for each in range(100)})
    run.evaluation = lambda: tested
    found = run_points(run)
    assert len(found) == len(series(found)) <= (MAX_SERIES if budget is None else budget)
    logged = sum(points.series_of_epoch(run.record, epoch) for epoch in history)
    assert left_out(run) == logged + 101 + 25 - len(found)
    assert bool(found) == (budget is None or budget >= 92)
    sent = [point for epoch in history for point in epoch_points(run.record, epoch)]
    sent += points.test_points(run.record, tested)
    assert [point for point in found if "stage" not in point.labels] == sent


def test_the_usual_few_metrics_are_complete(make_regression: Any) -> None:
    run = make_regression(100, planned_epochs=100)
    assert len(run_points(run)) == 100 * 7 + 4 + 25
    assert left_out(run) == 0


def test_epochs_of_a_script_can_count_anything(make_regression: Any) -> None:
    run = make_regression(300, config={"params": {"epochs": 3}}, planned_epochs=0)
    shown = {point.labels["epoch"] for point in run_points(run) if "epoch" in point.labels}
    assert len(shown) > 50
    assert max(map(int, shown)) > 250


def test_a_script_that_logs_every_fiftieth_step_shows_as_much_as_one_that_logs_every_epoch(
    make_regression: Any,
) -> None:
    run = make_regression(300)
    usual = run_points(run)
    for number, epoch in enumerate(run.training().epochs):
        run.training().epochs[number] = replace(epoch, epoch=50 * epoch.epoch)
    found = run_points(run)
    assert [point.labels.get("epoch") for point in found] == [
        str(50 * int(point.labels["epoch"])) if "epoch" in point.labels else None for point in usual
    ]
    assert len(found) > 300


def test_a_name_that_no_line_could_hold_stays_in_the_ledger(make_regression: Any) -> None:
    run = make_regression()
    tested = replace(run.evaluation(), metrics={"mae": 1.0, "猫" * 101: 2.0, ":" * 101: 3.0, "猫" * 100: 4.0})
    found = named(points.test_points(run.record, tested), catalogue.TEST_METRIC)
    assert [name for name, _, _ in found] == ["mae", "猫" * 100, "mae"]


@pytest.mark.parametrize("epochs", [1, 18, MAX_EPOCHS])
def test_the_budget_is_what_a_complete_run_creates(make_run: Any, epochs: int) -> None:
    found = run_points(make_run(epochs))
    assert len(found) == len(series(found)) == series_budget(epochs, 10) == 19 * epochs + 158


def test_a_run_that_has_trained_no_epoch_has_the_rest(make_run: Any) -> None:
    assert len(run_points(make_run(0))) == 158


def shown(budget: int | None = None, trained: int = 100_000) -> list[int]:
    """Epochs of a run of ten classes that does not announce how long it trains."""
    return [epoch for epoch in sorted(kept(0, 10, budget).curves) if epoch <= trained]


def test_a_run_without_a_known_end_shows_its_first_epochs_and_then_fewer_and_fewer() -> None:
    found = shown()
    assert found[:64] == list(range(1, 65))
    gaps = [later - before for before, later in pairwise(found)]
    assert gaps == sorted(gaps)
    assert all(gap <= max(1, epoch / 32) for gap, epoch in zip(gaps, found, strict=False)), "none is far from the next"
    assert found[-1] > 1_000
    assert kept(0, 10, None).classes <= kept(0, 10, None).curves


def test_whatever_the_budget_a_run_without_a_known_end_stays_below_it() -> None:
    assert series_budget(0, 10) == series_budget(MAX_EPOCHS, 10)
    for classes in (0, 3, 10, 100):
        for budget in range(fixed_series(classes), MAX_SERIES, 37):
            found = kept(0, classes, budget)
            made = fixed_series(classes) + 9 * len(found.curves) + classes * len(found.classes)
            assert made <= budget
            assert 1 in found.curves or budget < fixed_series(classes) + 9


@pytest.mark.parametrize("config", [{}, {"forest": {"trees": 300}}, {"training": {"epochs": None}}])
def test_what_a_run_without_a_known_end_sends_is_what_its_ledger_says_later(make_run: Any, config: Any) -> None:
    """An epoch is sent or not when it ends, when no one knows how many follow."""
    run = make_run(500)
    run.record = replace(run.record, config=config, series_budget=1_000)
    for trained in (1, 40, 500):
        history = run.training().epochs[:trained]
        run.training = lambda history=history: TrainingRecord(1, history)
        sent = [point for epoch in history for point in epoch_points(run.record, epoch)]
        assert [point for point in run_points(run) if "epoch" in point.labels] == sent
        assert len({point.labels["epoch"] for point in sent}) == len(shown(1_000, trained))
        left = series_left_out(0, 10, 1_000, trained)
        assert left == 158 + 19 * trained - len(run_points(run))
        run.training = lambda: TrainingRecord(1, make_run(500).training().epochs)


def test_a_loss_of_nan_is_shown_in_any_epoch(run_record: RunRecord, make_epoch: Any) -> None:
    record = replace(run_record, config={}, series_budget=1_000)
    assert 300 not in shown(1_000)
    assert epoch_points(record, make_epoch(300)) == []
    assert len(epoch_points(record, make_epoch(300, validation_loss=math.nan))) == 9


@pytest.mark.parametrize("classes", [0, 1, 3, 10, 45, 46, 100, 724, 725, 10_000])
def test_the_longest_run_stays_under_the_cap_and_keeps_every_curve(classes: int) -> None:
    assert fixed_series(classes) + 9 * MAX_EPOCHS <= series_budget(MAX_EPOCHS, classes) <= MAX_SERIES


def test_an_attempt_that_runs_or_was_killed_has_no_points(run_record: RunRecord, make_attempt: Any) -> None:
    assert stage_points(run_record, make_attempt(ended=None, outcome=None)) == []


def test_what_an_attempt_does_not_know_is_not_sent(run_record: RunRecord, make_attempt: Any) -> None:
    unknown = dict.fromkeys(("cpu_seconds", "peak_memory_bytes", "gpu_peak_memory_bytes", "gpu_utilisation_ratio"))
    found = stage_points(run_record, make_attempt(**unknown))
    assert [(point.metric, point.value) for point in found] == [(catalogue.STAGE_DURATION, 60.0)]


def test_the_last_attempt_that_ended_speaks_for_its_stage(make_run: Any, make_attempt: Any) -> None:
    attempts = [
        make_attempt(number=1, ended=1_010.0, outcome="failed"),
        make_attempt(number=2, ended=1_020.0),
        make_attempt(number=3, ended=1_030.0, outcome="superseded"),
        make_attempt(number=4, ended=None, outcome=None),
    ]
    found = [point for point in run_points(make_run(0, attempts)) if point.metric is catalogue.STAGE_DURATION]
    assert [(point.value, point.time) for point in found] == [(20.0, 1_020.0)]


def test_an_empty_run_has_no_points(make_run: Any) -> None:
    run = make_run(0, [])
    run.training = run.evaluation = lambda: None
    assert run_points(run) == []


def test_nan_and_infinity_are_kept(run_record: RunRecord, make_epoch: Any) -> None:
    """A loss that became NaN is what you most want to see."""
    found = epoch_points(run_record, make_epoch(1, train_loss=math.nan, gradient_norm=math.inf))
    assert math.isnan(found[0].value)
    assert math.inf in [point.value for point in found]
