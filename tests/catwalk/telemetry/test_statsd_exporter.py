"""The generated mapping in the real statsd_exporter: what is sent comes out under the right name, and nothing else."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.points import run_points
from catwalk.telemetry import catalogue
from catwalk.telemetry.airflow_metrics import PREFIX, airflow_rules, load_registry
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.points import LABEL_BYTES, Point, series_budget
from catwalk.telemetry.rule import Rule
from catwalk_exporter.canary import announcements
from catwalk_exporter.exposition import Facts, Settings, families
from catwalk_exporter.snapshot import Snapshot
from tests.catwalk.telemetry.airflow_names import names, versions
from tests.catwalk.telemetry.airflow_names.wire import matches, on_the_wire
from tests.support.ledgers import summary
from tests.support.servers import Scrape, Series, StatsdExporter, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def exporter() -> Iterator[StatsdExporter]:
    exporter = StatsdExporter()
    yield exporter
    exporter.stop()


def expected(points: list[Point]) -> dict[Series, float]:
    return {(point.metric.name, frozenset(point.labels.items())): point.value for point in points}


def assert_nothing_is_wrong(scrape: Scrape) -> None:
    assert scrape.total("statsd_exporter_events_unmapped_total") == 0
    assert scrape.total("statsd_exporter_events_conflict_total") == 0
    assert scrape.total("statsd_exporter_events_error_total") == 0
    assert scrape.total("statsd_exporter_sample_errors_total") == 0
    assert scrape.total("statsd_exporter_tag_errors_total") == 0


def send_live(emitter: Emitter, run: Any) -> None:
    """What the stages of a run send while they run."""
    for record in run.training().epochs:
        emitter.epoch_finished(run.record, record)
    emitter.test_finished(run.record, run.evaluation())
    for attempt in run.attempts():
        emitter.stage_finished(run.record, attempt)


def test_every_family_of_a_run_arrives_with_name_labels_value_and_help(exporter: StatsdExporter, make_run: Any) -> None:
    run, emitter = make_run(epochs=18), Emitter(exporter.address)
    send_live(emitter, run)
    scrape = exporter.until(lambda scrape: scrape.of("ml_") == expected(run_points(run)))
    assert len(scrape.of("ml_")) == series_budget(18, 10)
    assert scrape.of("ml_") == expected(run_points(run))
    for metric in {point.metric for point in run_points(run)}:
        if metric.kind == "gauge":
            assert scrape.families[metric.name] == ("gauge", metric.help)
    assert_nothing_is_wrong(scrape)
    assert emitter.take_dropped() == 0


def test_every_point_of_a_regression_arrives_live_and_again(exporter: StatsdExporter, make_regression: Any) -> None:
    run, emitter = make_regression(epochs=3), Emitter(exporter.address)
    send_live(emitter, run)
    wanted = {
        (name, frozenset(label for label in has if label[1])): value
        for (name, has), value in expected(run_points(run)).items()
    }
    assert len(wanted) == 3 * 7 + 4 + 25
    assert exporter.until(lambda scrape: scrape.of("ml_") == wanted).of("ml_") == wanted
    assert emitter.resend(run_points(run)) == len(wanted)
    scrape = exporter.scrape()
    assert scrape.of("ml_") == wanted
    assert_nothing_is_wrong(scrape)
    assert emitter.take_dropped() == 0


def test_store_operations_and_announced_counters_arrive(exporter: StatsdExporter) -> None:
    emitter = Emitter(exporter.address)
    emitter.count(announcements())
    scrape = exporter.wait("ml_store_errors_total", 5)
    for operation in catalogue.STORE_OPERATIONS:
        assert scrape.samples["ml_store_errors_total", frozenset({("operation", operation)})] == 0
        emitter.store_operation(operation, 0.02, failed=operation == "put")
    emitter.count([(catalogue.CANARY_RECEIVED, {}, 1)])
    duration = catalogue.STORE_OPERATION_DURATION
    exporter.until(lambda scrape: scrape.total("ml_store_errors_total") == 1)
    exporter.until(lambda scrape: scrape.total("catwalk_canary_received_total") == 1)
    scrape = exporter.wait(f"{duration.name}_count", 5)
    assert scrape.total("ml_store_errors_total", operation="put") == scrape.total("ml_store_errors_total") == 1
    assert scrape.total("catwalk_canary_received_total") == 1
    for operation in catalogue.STORE_OPERATIONS:
        assert scrape.total(f"{duration.name}_sum", operation=operation) == pytest.approx(0.02)
        assert scrape.total(f"{duration.name}_bucket", operation=operation, le="0.01") == 0
        assert scrape.total(f"{duration.name}_bucket", operation=operation, le="0.025") == 1
    buckets = scrape.of(f"{duration.name}_bucket")
    assert len(buckets) == 5 * (len(duration.buckets) + 1)
    assert scrape.families[f"{duration.name}_sum"] == ("histogram", duration.help)
    assert scrape.families["ml_store_errors_total"] == ("counter", catalogue.STORE_ERRORS.help)
    assert_nothing_is_wrong(scrape)


def test_odd_values_arrive_unchanged(exporter: StatsdExporter, run_record: Any, make_epoch: Any) -> None:
    emitter = Emitter(exporter.address)
    emitter.epoch_finished(run_record, make_epoch(1, learning_rate=5e-324, examples_per_second=1.7e308))
    emitter.epoch_finished(run_record, make_epoch(1, train_loss=math.nan, validation_loss=math.inf, gradient_norm=0.0))
    emitter.epoch_finished(run_record, make_epoch(1, train_loss=math.nan, validation_loss=math.inf, gradient_norm=-0.0))
    scrape = exporter.until(lambda scrape: scrape.total("statsd_exporter_events_total") >= 3 * 19)
    assert math.isnan(scrape.total("ml_epoch_loss", split="train"))
    assert scrape.total("ml_epoch_loss", split="validation") == math.inf
    assert scrape.total("ml_epoch_gradient_norm") == 0
    assert_nothing_is_wrong(scrape)


def test_a_value_may_cross_zero_any_number_of_times(exporter: StatsdExporter) -> None:
    """There is one series for both signs, whichever came first; no scrape between two lines sees anything else."""
    labels = {"run_id": "r", "model": "m", "split": "validation", "metric": "r2", "epoch": "1"}
    emitter = Emitter(exporter.address)
    for value in (-0.25, -1.5, 0.5, -2.0, 0.0, -math.inf, math.inf, -3.25):
        assert emitter.resend([Point(catalogue.EPOCH_METRIC, labels, value, 0.0)]) == 1
        scrape = exporter.until(lambda scrape, value=value: value in scrape.of("ml_epoch_metric").values())
        assert scrape.of("ml_epoch_metric") == {("ml_epoch_metric", frozenset(labels.items())): value}
    assert emitter.resend([Point(catalogue.EPOCH_METRIC, labels, math.nan, 0.0)]) == 1
    exporter.until(lambda scrape: math.isnan(scrape.total("ml_epoch_metric")))
    assert scrape.families["ml_epoch_metric"] == ("gauge", catalogue.EPOCH_METRIC.help)
    assert_nothing_is_wrong(scrape)


def test_no_scrape_sees_a_value_that_was_never_sent(exporter: StatsdExporter) -> None:
    """While a value repeatedly crosses zero, this scrapes it as fast as possible."""
    labels = {"run_id": "r", "model": "m", "split": "validation", "metric": "r2", "epoch": "1"}
    sent, seen, ended = (-2.5, 3.5, -0.125, 7.0), set[float](), threading.Event()

    def send() -> None:
        emitter = Emitter(exporter.address)
        while not ended.is_set():
            for value in sent:
                emitter.resend([Point(catalogue.EPOCH_METRIC, labels, value, 0.0)])

    def look() -> bool:
        seen.update(exporter.scrape().of("ml_epoch_metric").values())
        return seen >= set(sent)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            wait_until(look, "every value that was sent")
        finally:
            ended.set()
        sending.result()
    assert seen == set(sent)


def test_a_metric_with_any_name_arrives_and_can_be_read_back(exporter: StatsdExporter) -> None:
    names = ["F1/macro", "пропуск", "mae@90%", "精度", "a:b|c,d=e#f[g]", "x" * 200, "loss"]
    points = [
        Point(
            catalogue.TEST_METRIC,
            {"run_id": "r", "model": "m", "metric": name, "slice": of, "slice_value": of},
            -1,
            0.0,
        )
        for name in names
        for of in ("", "país")
    ]
    emitter = Emitter(exporter.address)
    assert emitter.resend(points) == len(points)
    scrape = exporter.wait("ml_test_metric", len(points))
    found = [dict(has) for name, has in scrape.samples if name == "ml_test_metric"]
    assert {unquote(labels["metric"]) for labels in found} == set(names)
    assert sorted(labels.get("slice", "") for labels in found) == [""] * len(names) + ["país"] * len(names)
    assert set(scrape.of("ml_test_metric").values()) == {-1}
    assert_nothing_is_wrong(scrape)


PIECES = [*".:|,;\"'`\\\n\r\t%=#{}[]()<>$&@/ ", "%2C", "é", "e\u0301", "ß", "ẞ", "İ", "ı", "猫", "\u202e", "שלום",
          "مرحبا", "🎉", "👩\u200d🔬", "\u00a0", "a", "A", "0", "\0", "\x7f", "\udcff"]  # fmt: skip
"""Characters of ordinary names, and of names made to break a line."""


def hostile_names(seed: int, count: int) -> list[str]:
    """Names that differ, some only in their case or normal form."""
    chance = random.Random(seed)
    found = {"café", "cafe\u0301", "CAFÉ", "a.b", "a:b", "a%3Ab", "x" * LABEL_BYTES, "猫" * (LABEL_BYTES // 3)}
    while len(found) < count:
        found.add("".join(chance.choices(PIECES, k=chance.randint(1, 12))))
    return sorted(found, key=repr)


@pytest.mark.parametrize("seed", range(3))
def test_names_in_any_script_are_one_to_one_on_every_path(exporter: StatsdExporter, seed: int) -> None:
    """Metrics, splits and slices: by StatsD, from the ledger as the exporter shows it, and as blocks."""
    names = hostile_names(seed, 300)
    whole = {"run_id": "r", "model": "m"}
    points = [
        Point(catalogue.TEST_METRIC, {**whole, "metric": name, "slice": name[::-1], "slice_value": name}, -index, 0.0)
        for index, name in enumerate(names)
    ]
    points += [
        Point(catalogue.EPOCH_METRIC, {**whole, "epoch": "1", "split": name, "metric": name}, index, 0.0)
        for index, name in enumerate(names)
    ]
    assert Emitter(exporter.address).resend(points) == len(points)
    scrape = exporter.wait("ml_", len(points))
    assert_nothing_is_wrong(scrape)
    found = {(name, frozenset(read_back(labels).items())): value for (name, labels), value in scrape.of("ml_").items()}
    assert found == expected(points)

    latest = summary(test_metrics=dict.fromkeys(names, 0.5))
    facts = Facts(Snapshot(summaries=(latest,)), True, {}, None, time.time())
    [served] = [family for family in families(facts, Settings()) if family.name == "catwalk_model_metric"]
    by_statsd = {dict(labels)["metric"] for _, labels in scrape.of("ml_test_metric")}
    assert by_statsd == {sample.labels["metric"] for sample in served.samples} - {
        "accuracy",
        "log_loss",
        "calibration_error",
    }
    blocks = text_string_to_metric_families(openmetrics(points, {}))
    assert {sample.labels["metric"] for family in blocks for sample in family.samples} == by_statsd


def read_back(labels: frozenset[tuple[str, str]]) -> dict[str, str]:
    """Labels with their original names."""
    return {name: unquote(value, errors="surrogatepass") for name, value in labels}


def test_odd_label_values_break_no_line_and_can_be_read_back(
    exporter: StatsdExporter, make_epoch: Any, run_record: Any
) -> None:
    odd = replace(run_record, run_id="a:b|c,d=e#f[g]\nml.epoch.loss:1|g\n50%é\udcff", model="")
    Emitter(exporter.address).epoch_finished(odd, make_epoch(1))
    scrape = exporter.wait("ml_epoch", 19)
    labels = [dict(has) for (name, has) in scrape.samples if name.startswith("ml_epoch")]
    assert len(labels) == 19
    assert {unquote(label["run_id"], errors="surrogatepass") for label in labels} == {odd.run_id}
    assert {label.get("model", "") for label in labels} == {""}
    assert_nothing_is_wrong(scrape)


def test_every_character_survives_the_exporter(exporter: StatsdExporter) -> None:
    characters = [chr(number) for number in (*range(0x250), 0x2028, 0x732B, 0x1F4A5, 0xDCFF)]
    Emitter(exporter.address).count([(catalogue.STORE_ERRORS, {"operation": f"-{one}-"}, 1) for one in characters])
    scrape = exporter.wait("ml_store_errors_total", len(characters))
    found = {dict(has)["operation"] for name, has in scrape.samples if name == "ml_store_errors_total"}
    assert {unquote(value, errors="surrogatepass") for value in found} == {f"-{one}-" for one in characters}
    assert_nothing_is_wrong(scrape)


def test_classes_in_any_script_are_the_same_on_every_path(exporter: StatsdExporter, make_run: Any) -> None:
    """By StatsD, from the ledger as the exporter shows it, and as blocks."""
    classes = ["猫", "犬", "a:b", "a_b", "a%3Ab", "ä", "a b", "[x]", "1|g", "x=1,y=2"]
    run, emitter = make_run(epochs=2), Emitter(exporter.address)
    run.record = replace(run.record, classes=classes)
    send_live(emitter, run)
    scrape = exporter.wait("ml_", series_budget(2, 10))
    assert len(scrape.of("ml_")) == len(run_points(run)) == series_budget(2, 10)
    by_statsd = {dict(has)["class"] for name, has in scrape.samples if name == "ml_test_class_accuracy_ratio"}
    assert {unquote(value) for value in by_statsd} == set(classes)
    assert {"猫", "犬", "ä", "a b"} <= by_statsd
    latest = summary(classes=classes)
    facts = Facts(Snapshot(summaries=(latest,)), True, {}, None, time.time())
    [served] = [family for family in families(facts, Settings()) if family.name == "catwalk_model_class_accuracy_ratio"]
    assert {sample.labels["class"] for sample in served.samples} == by_statsd
    text = openmetrics([point for point in run_points(run) if point.metric is catalogue.TEST_CLASS_ACCURACY], {})
    [block] = text_string_to_metric_families(text)
    assert {sample.labels["class"] for sample in block.samples} == by_statsd


def test_resending_restores_a_run_after_a_restart_and_changes_nothing_otherwise(
    exporter: StatsdExporter, make_run: Any
) -> None:
    run, emitter = make_run(epochs=3), Emitter(exporter.address)
    send_live(emitter, run)
    exporter.stop()
    send_live(emitter, run)
    assert emitter.take_dropped() == series_budget(3, 10)
    exporter.start()
    for _ in range(2):
        assert emitter.resend(run_points(run)) == series_budget(3, 10)
        scrape = exporter.until(lambda scrape: scrape.of("ml_") == expected(run_points(run)))
        assert scrape.of("ml_") == expected(run_points(run))
    assert emitter.take_dropped() == 0
    assert_nothing_is_wrong(scrape)


def test_a_burst_survives_a_pause_of_the_exporter(exporter: StatsdExporter, run_record: Any, make_epoch: Any) -> None:
    """456 points at once; sent one by one, they overrun the kernel's buffer (194 of 450 were lost that way)."""
    emitter, long = Emitter(exporter.address), replace(run_record, config={"epochs": 24})
    os.kill(exporter.process.pid, signal.SIGSTOP)
    try:
        for epoch in range(1, 25):
            emitter.epoch_finished(long, make_epoch(epoch))
        time.sleep(0.2)
    finally:
        os.kill(exporter.process.pid, signal.SIGCONT)
    assert len(exporter.wait("ml_epoch", 24 * 19).of("ml_epoch")) == 24 * 19
    assert emitter.take_dropped() == 0


def test_an_exporter_that_hangs_does_not_hang_the_resend(
    exporter: StatsdExporter, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catwalk.telemetry.emitter.RESEND_SECONDS", 0.3)
    emitter = Emitter(exporter.address)
    os.kill(exporter.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert emitter.resend(run_points(make_run(epochs=2))) == 0
        assert time.monotonic() - started < 60
        assert emitter.take_dropped() == series_budget(2, 10)
    finally:
        os.kill(exporter.process.pid, signal.SIGCONT)


def test_an_unforeseen_name_shows(exporter: StatsdExporter) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"airflow.brand_new:1|c", ("127.0.0.1", exporter.port))
    assert exporter.wait("airflow_brand_new", 1).total("statsd_exporter_events_unmapped_total") == 1


AIRFLOW_SENDS = """
import json, sys
from datetime import timedelta
from airflow._shared.observability.metrics import stats
from airflow._shared.observability.metrics.statsd_logger import get_statsd_logger
from statsd import StatsClient

port, calls = json.load(sys.stdin)
stats.initialize(
    factory=lambda: get_statsd_logger(
        stats_class=StatsClient, host="127.0.0.1", port=port, prefix="airflow",
        influxdb_tags_enabled=True, statsd_influxdb_enabled=True,
    ),
    export_legacy_names=False,
)
for method, name, value, tags in calls:
    argument = timedelta(seconds=value[0]) if isinstance(value, list) else value
    getattr(stats, method)(name, argument, tags=tags)
"""
"""Airflow's own code sends: its statistics module, its logger, tagged names, no legacy names. A list is a timedelta."""


def airflow_name(rule: Rule) -> str:
    """Returns a name that Airflow would send for a rule."""
    if rule.is_regex:
        return re.sub(r"\\(.)", r"\1", rule.match.strip("^$")).replace(".+", "team.some").removeprefix(PREFIX)
    return rule.match.removeprefix(PREFIX).replace("*", "LocalExecutor")


def airflow_call(rule: Rule) -> tuple[str, str, Any, dict[str, str]]:
    """Returns how Airflow would send it: method, name, value, tags."""
    name = airflow_name(rule)
    if rule.metric is None:
        return ("decr" if name == "dag_processing.processes" else "incr"), name, 1, {"dag_id": "a"}
    tags = {label: f"some-{label}" for label in rule.metric.labels if label not in rule.fixed}
    tags |= {label: "noise" for label, value in rule.fixed.items() if not value}
    if rule.metric.kind == "counter":
        return "incr", name, 2, tags
    if rule.metric.kind == "gauge":
        return "gauge", name, 7, tags
    return "timing", name, (90.0 if rule.scale == 1_000 else [90.0]), tags


def test_all_that_airflow_can_send_comes_out_mapped_or_dropped(exporter: StatsdExporter, tmp_path: Path) -> None:
    rules = airflow_rules(load_registry())
    calls = [airflow_call(rule) for rule in rules]
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "_AIRFLOW__AS_LIBRARY": "1"}
    command = [sys.executable, "-c", AIRFLOW_SENDS]
    subprocess.run(command, input=json.dumps([exporter.port, calls]), text=True, env=environment, check=True)

    wanted: dict[Series, float] = {}
    for rule in rules:
        if rule.metric:
            labels = {label: f"some-{label}" for label in rule.metric.labels} | dict(rule.fixed)
            # To Prometheus, an empty label is a missing one.
            series = frozenset((label, value) for label, value in labels.items() if label in rule.metric.labels)
            if rule.metric.kind == "histogram":
                wanted[f"{rule.metric.name}_count", series] = 1
                wanted[f"{rule.metric.name}_sum", series] = 90.0
            elif rule.metric.kind == "counter":
                wanted[rule.metric.name, series] = wanted.get((rule.metric.name, series), 0) + 2
            else:
                wanted[rule.metric.name, series] = 7

    def settled(scrape: Scrape) -> bool:
        return scrape.total("statsd_exporter_events_actions_total") == len(rules)

    def arrived(scrape: Scrape) -> dict[Series, float]:
        return {
            (name, frozenset((label, value) for label, value in labels if value)): value
            for (name, labels), value in scrape.of("airflow_").items()
            if not name.endswith("_bucket")
        }

    exporter.until(settled)  # counted before the last series exists
    scrape = exporter.until(lambda scrape: len(arrived(scrape)) >= len(wanted))
    assert arrived(scrape) == wanted
    assert {name for name, _ in scrape.samples if name.startswith("dropped")} == set()
    for rule in rules:
        if rule.metric:
            sample = f"{rule.metric.name}_sum" if rule.metric.kind == "histogram" else rule.metric.name
            assert scrape.families[sample] == (rule.metric.kind, rule.metric.help)
            buckets = [
                labels
                for name, labels in scrape.samples
                if name == f"{rule.metric.name}_bucket" and rule.metric.buckets
            ]
            assert {float(dict(labels)["le"]) for labels in buckets} == (
                {*rule.metric.buckets, math.inf} if rule.metric.buckets else set()
            )
    dropped = [rule for rule in rules if rule.metric is None]
    assert scrape.total("statsd_exporter_events_actions_total", action="drop") == len(dropped)
    assert_nothing_is_wrong(scrape)


def lines_of(airflow: str, tagged: bool) -> tuple[list[str], set[str]]:
    """Returns what an Airflow can send, as lines, and the families that must result."""
    values = {"incr": "1|c", "decr": "-1|c", "gauge": "3|g", "timing": "90|ms", "timer": "90|ms"}
    rules = airflow_rules(load_registry())
    lines, families = [], set()
    for each in names(airflow):
        for name in on_the_wire(each.name):
            tags = "".join(f",{tag}=some-{tag}" for tag in each.tags) if tagged else ""
            lines.append(f"{PREFIX}{name}{tags}:{values[each.method]}")
            families |= {rule.metric.name for rule in rules if rule.metric and matches(rule, name)}
    return lines, families


@pytest.mark.parametrize("airflow", versions())
def test_all_that_any_airflow_can_send_is_mapped_or_dropped(exporter: StatsdExporter, airflow: str) -> None:
    """Airflow sends with tags, and without them if it is configured to send none."""
    sent, families = lines_of(airflow, tagged=True)
    sent += lines_of(airflow, tagged=False)[0]
    with socket.create_connection(("127.0.0.1", exporter.port)) as connection:
        connection.sendall("".join(f"{line}\n" for line in sent).encode())
    exporter.until(lambda scrape: scrape.total("statsd_exporter_lines_total") == len(sent))
    scrape = exporter.until(lambda scrape: scrape.total("statsd_exporter_events_actions_total") == len(sent))
    assert_nothing_is_wrong(scrape)
    suffixes = ("_bucket", "_count", "_sum")
    # statsd_exporter counts an event before it creates its series.
    scrape = exporter.until(
        lambda scrape: all(any(name.startswith(one) for name, _ in scrape.samples) for one in families)
    )
    arrived = {name for name, _ in scrape.samples if name.startswith("airflow_")}
    assert {found for name in arrived for found in {name, *(name.removesuffix(end) for end in suffixes)}} >= families
    known = {f"{name}{end}" for name in families for end in ("", *suffixes)}
    assert arrived <= known
