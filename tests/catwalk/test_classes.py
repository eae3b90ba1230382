"""A model's own classes on every path: three in another script, a hundred, and those of records without names."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from catwalk.cli.tables import comparison_table, output
from catwalk.codec import from_json, to_json
from catwalk.errors import CatwalkError, DamagedError, StoreError
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.training import MAX_EPOCHS, TrainingRecord
from catwalk.ledger.records.values import class_names
from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.points import run_points
from catwalk.replay.replay import replay
from catwalk.replay.room import take, with_room
from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.comparison.entries import Entry
from catwalk.report.facts import Part
from catwalk.telemetry import catalogue
from catwalk.telemetry.budget import RUNS_SHARE, smallest
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.points import MAX_SERIES, series_budget, series_left_out
from catwalk_exporter.exposition import Facts, Settings, families
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from ml.fashion_mnist.config import RunConfig
from tests.support.ledgers import put_summary, summary
from tests.support.servers import StatsdExporter
from tests.support.views import facts_of

THREE = ["猫", "sedan, red [x]", "ä b"]
HUNDRED = [f"kind {number}" for number in range(100)]
OLD = ["0", "1", "2"]


def evaluation(classes: list[str], count: int) -> EvaluationRecord:
    """Each class is right with a probability of 0.9, and otherwise taken for the next one."""
    rates = [0.9] * count
    matrix = [[90 if a == b else 10 * (b == (a + 1) % count) for b in range(count)] for a in range(count)]
    return EvaluationRecord("m", "d", 100 * count, 0.9, 0.3, 0.02, rates, rates, rates, matrix, 0.1, 2_000.0, classes)


@pytest.fixture
def ledger_run(run_record: RunRecord, make_epoch: Any, make_attempt: Any, memory_store: Any) -> Any:
    """A run as the ledger has it, with this number of classes, with or without their names."""

    def make(classes: list[str], count: int, epochs: int = 2) -> Any:
        config = RunConfig.from_flat({"epochs": epochs}).to_dict()
        history = [make_epoch(number, class_accuracy=[0.5] * count) for number in range(1, epochs + 1)]
        stages = ("ingest", "train", "test", "decide", "publish")
        return SimpleNamespace(
            store=memory_store,
            run_id=run_record.run_id,
            record=replace(run_record, classes=classes, config=config),
            training=lambda: TrainingRecord(1, history),
            evaluation=lambda: evaluation(classes, count),
            attempts=lambda: [make_attempt(stage) for stage in stages],
        )

    return make


def shown(*parts: Any) -> str:
    console = Console(width=120, record=True)
    with console.capture() as captured:
        console.print(*parts)
    return captured.get()


@pytest.mark.parametrize(("names", "expected"), [(THREE, THREE), ([], OLD)])
def test_points_have_the_names_in_the_record(ledger_run: Any, names: list[str], expected: list[str]) -> None:
    points = run_points(ledger_run(names, 3))
    assert len(points) == series_budget(2, 3) == 2 * (9 + 3) + 3 + 3 * 3 + 3 * 3 + 25
    for metric in (catalogue.EPOCH_CLASS_ACCURACY, catalogue.TEST_CLASS_F1):
        found = [point.labels["class"] for point in points if point.metric is metric]
        assert list(dict.fromkeys(found)) == expected
    cells = {
        (point.labels["true_class"], point.labels["predicted_class"]): point.value
        for point in points
        if point.metric is catalogue.TEST_CONFUSION
    }
    assert (cells[expected[0], expected[1]], cells[expected[1], expected[0]]) == (10, 0)


def test_a_hundred_classes_fit_the_limit_and_what_is_left_out_is_counted(ledger_run: Any) -> None:
    for epochs in (1, 18, MAX_EPOCHS):
        points = run_points(ledger_run(HUNDRED, 100, epochs))
        whole = epochs * (9 + 100) + 3 + 3 * 100 + 100 * 100 + 25
        assert len(points) == series_budget(epochs, 100) == whole - series_left_out(epochs, 100, None) <= MAX_SERIES
        by_metric = {point.metric for point in points}
        assert catalogue.TEST_CONFUSION not in by_metric
        assert {catalogue.TEST_CLASS_F1, catalogue.STAGE_CPU} <= by_metric
        curve = [point for point in points if point.metric is catalogue.EPOCH_INDEX]
        assert len(curve) == epochs, "curves come before the figures of classes in each epoch"
    by_class = {point.labels["epoch"] for point in points if point.metric is catalogue.EPOCH_CLASS_ACCURACY}
    assert {"1", str(MAX_EPOCHS)} <= by_class < {str(epoch) for epoch in range(1, MAX_EPOCHS + 1)}


@pytest.mark.parametrize("classes", [THREE, HUNDRED])
def test_a_run_is_opened_with_the_room_that_its_classes_need(
    ledger_run: Any, memory_store: Any, classes: list[str]
) -> None:
    run = ledger_run(classes, len(classes), 18)
    run.record = with_room(memory_store, run.record, [run.record.epochs])
    assert run.record.series_budget == series_budget(18, len(classes))
    assert run.record.series_left_out == series_left_out(18, len(classes), None)
    assert len(run_points(run)) == run.record.series_budget
    assert smallest(run.record) <= run.record.series_budget


@pytest.mark.parametrize("classes", [0, 3, 45, 46, 100, 1_000])
def test_a_run_stays_within_its_granted_room(ledger_run: Any, memory_store: Any, classes: int) -> None:
    names = [f"kind {number}" for number in range(classes)]
    granted, total = 1, 0
    while granted:
        run = ledger_run(names, classes, 40)
        record = replace(run.record, run_id=f"20261123T030000Z-{total:08x}")
        granted = take(memory_store, record, 1, 40, now=0.0)
        run.record = replace(record, series_budget=granted)
        made = len(run_points(run))
        assert made <= granted
        whole = 40 * (9 + classes) + 28 + 3 * classes + classes**2
        assert made == whole - series_left_out(40, classes, granted)
        total += made
    assert 0.8 * RUNS_SHARE < total <= RUNS_SHARE or classes == 1_000


def test_names_and_figures_that_disagree_are_damage_reported_in_one_line(ledger_run: Any) -> None:
    run = ledger_run(THREE, 3)
    run.record = replace(run.record, classes=["a", "b"])
    with pytest.raises(
        DamagedError, match=rf"{run.record.run_id} is damaged: it names 2 classes, but has figures for 3"
    ):
        run_points(run)
    for record in (evaluation(THREE, 3), summary(classes=THREE, class_shares=[0.3] * 3, test_class_accuracy=[0.9] * 3)):
        values = json.loads(to_json(record))
        assert from_json(type(record), json.dumps(values).encode()) == record
        for names, complaint in (
            (["a", "b"], "for 2 and 3 classes"),
            (["a", "a", "b"], "twice"),
            (["a", "b", ""], "without a name"),
        ):
            with pytest.raises(ValueError, match=complaint):
                from_json(type(record), json.dumps({**values, "classes": names}).encode())
        with pytest.raises(ValueError, match="is not of type str"):
            from_json(type(record), json.dumps({**values, "classes": [1, 2, 3]}).encode())


def test_a_record_without_names_gets_numbers() -> None:
    assert class_names([], 3) == OLD
    assert class_names(THREE, 3) is THREE
    with pytest.raises(ValueError, match="names 3 classes, but has figures for 10"):
        class_names(THREE, 10)


@pytest.mark.parametrize(("names", "expected"), [(THREE, THREE), ([], OLD), (HUNDRED, HUNDRED)])
def test_exporter_and_pages_have_the_names_of_the_summary(names: list[str], expected: list[str]) -> None:
    count = len(expected)
    latest = summary(classes=names, class_shares=[1 / count] * count, test_class_accuracy=[0.9] * count)
    facts = Facts(Snapshot(summaries=(latest,)), True, {}, None, time.time())
    found = {family.name: family.samples for family in families(facts, Settings())}
    for name in ("catwalk_model_class_accuracy_ratio", "catwalk_model_dataset_class_share_ratio"):
        assert [unquote(sample.labels["class"]) for sample in found[name]] == expected
    page = facts_of(replace(latest, classes=[*expected[:-1], "<b>"]), time.time())
    assert all(f"<th>{name}</th>" in page for name in [*expected[:-1], "&lt;b&gt;"])


def test_statistics_of_the_data_are_exported_by_name_and_the_first_two_as_before() -> None:
    latest = summary(statistics={"pixel_mean": 0.28, "pixel_stddev": 0.35, "words": 12.0})
    facts = Facts(Snapshot(summaries=(latest,)), True, {}, None, time.time())
    found = {family.name: family.samples for family in families(facts, Settings())}
    by_name = {one.labels["statistic"]: one.value for one in found["catwalk_model_dataset_statistic"]}
    assert by_name == latest.statistics
    for name in ("pixel_mean", "pixel_stddev"):
        assert [one.value for one in found[f"catwalk_model_dataset_{name}"]] == [latest.statistics[name]]


@pytest.mark.parametrize(("names", "expected"), [(THREE, THREE), ([], OLD), (HUNDRED, HUNDRED)])
def test_the_terminal_has_the_names_of_the_record(names: list[str], expected: list[str]) -> None:
    facts = output.evaluation_facts(evaluation(names, len(expected)), whole=True)
    lines = [line.split("  ") for line in shown(facts).splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    by_name = {row[0]: row[-1] for row in rows if row}
    for name, following in zip(expected, [*expected[1:], expected[0]], strict=True):
        assert by_name[name] == f"{following} (10)"


@pytest.mark.parametrize("classes", [THREE, HUNDRED])
def test_a_comparison_has_the_names_of_its_runs(classes: list[str]) -> None:
    gone: Any = Part(None, "gone")
    difference = Difference(0.01, -0.01, 0.03, 0.5, 3, 2)
    found: Any = Part(SimpleNamespace(classes=classes))
    entries = [Entry(run_id, gone, None, gone, gone, gone, found) for run_id in ("r1", "r2", "r3")]
    pairs = [Pair(run_id, difference, dict.fromkeys(classes, difference)) for run_id in ("r2", "r3")]
    for width in (200, 100, 40):
        comparison = Comparison(entries, pairs, {})
        console = Console(width=width)
        with console.capture() as captured:
            console.print(*comparison_table.tables(comparison, width), sep="\n")
        told = " ".join(captured.get().split())
        assert all(name in told for name in comparison.classes(20)), width
        assert "…" not in told


@pytest.mark.integration
@pytest.mark.parametrize("names", [THREE, HUNDRED])
def test_names_are_the_same_by_statsd_and_as_blocks(ledger_run: Any, names: list[str]) -> None:
    exporter = StatsdExporter()
    try:
        run = ledger_run(names, len(names), 3)
        assert Emitter(exporter.address).resend(run_points(run)) == series_budget(3, len(names))
        scrape = exporter.wait("ml_", series_budget(3, len(names)))
        by_statsd = {dict(has)["class"] for name, has in scrape.samples if name == "ml_test_class_accuracy_ratio"}
        assert {unquote(value) for value in by_statsd} == set(names)
        text = openmetrics([point for point in run_points(run) if point.metric is catalogue.TEST_CLASS_ACCURACY], {})
        [block] = text_string_to_metric_families(text)
        assert {sample.labels["class"] for sample in block.samples} == by_statsd
    finally:
        exporter.stop()


@pytest.mark.integration
def test_the_exporter_counts_a_run_that_contradicts_itself_and_reads_on(s3_store: Any) -> None:
    good, bad = "20261122T030000Z-00000001", "20261123T030000Z-00000002"
    put_summary(s3_store, summary(good, classes=THREE, class_shares=[0.3] * 3, test_class_accuracy=[0.9] * 3))
    values = json.loads(to_json(summary(bad)))
    s3_store.put(f"summaries/{bad}.json", json.dumps({**values, "classes": THREE}).encode())
    found: list[Snapshot] = []
    LedgerReader(s3_store).read(time.time(), found.append)
    assert [record.run_id for record in found[-1].summaries] == [good]
    assert found[-1].damaged[f"summaries/{bad}.json"] == "its names and figures are for 3 and 10 classes"
    with pytest.raises(StoreError, match="is damaged: its names and figures"):
        s3_store.get_record(SummaryRecord, f"summaries/{bad}.json")


@pytest.mark.parametrize("config", [{"forest": {"trees": 300}}, {}, {"training": {"epochs": None}}])
def test_a_run_without_a_known_end_stays_below_its_budget(ledger_run: Any, config: Any) -> None:
    run = ledger_run(THREE, 3, 40)
    run.record = replace(run.record, config=config, series_budget=160)
    points = run_points(run)
    assert len(points) <= 160
    shown = {int(point.labels["epoch"]) for point in points if point.metric is catalogue.EPOCH_LOSS}
    assert {1, 2, 3, 4} < shown, "room is used from the first epoch on"
    assert max(shown) > 30, "and lasts"


@pytest.mark.parametrize(("budget", "told"), [(3_000, "has no points yet"), (0, "may have no series in Prometheus")])
def test_what_many_classes_leave_out_is_no_reason_to_have_no_points(ledger_run: Any, budget: int, told: str) -> None:
    run = ledger_run(HUNDRED, 100)
    run.record = replace(run.record, series_budget=budget, series_left_out=series_left_out(2, 100, budget))
    run.training = run.evaluation = lambda: None
    run.attempts = list
    assert run.record.series_left_out >= 10_000
    with pytest.raises(CatwalkError, match=told):
        replay(run, Silent(), None, 0.0)
