"""Nothing that is allowed exceeds what Prometheus accepts from statsd_exporter."""

from __future__ import annotations

import heapq
import json
import math
import random
import subprocess
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import catwalk
from catwalk.clients import access
from catwalk.codec import from_json
from catwalk.errors import StoreError, StoreUnavailableError
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import MAX_EPOCHS
from catwalk.ledger.runs import Ledger, Run
from catwalk.replay import room
from catwalk.replay.points import left_out, run_points
from catwalk.replay.room import KEY, Hold, give_up, take, take_again, with_room
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.sweeps.search import MAX_TRIALS
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry
from catwalk.telemetry.budget import OPEN_SECONDS, RUNS_SHARE, SAMPLE_LIMIT, SENT_SECONDS, Parts, smallest
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.points import OTHERS, fixed_series, kept, series_budget, series_left_out
from catwalk.telemetry.wire.address import Address
from catwalk_exporter.canary import announcements
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, RunConfig
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.support.servers import PATIENCE, StatsdExporter, wait_for_port, wait_until

FIXED_SERIES = fixed_series(10)
DAGS, TASKS = 100, 8
OF_AIRFLOW = {
    "dag_id": DAGS,
    "task_id": TASKS,
    "run_type": 3,
    "state": 6,
    "file_name": DAGS,
    "file_path": DAGS,
    "pool_name": 4,
    "executor": 2,
    "executor_class_name": 2,
    "prior_state": 2,
}
"""Values of labels if 100 DAGs run; other labels have one value for each DAG or task, or just one."""


def samples(metric: Metric, values: dict[str, int], fixed: dict[str, str]) -> int:
    series = math.prod(values.get(label, 1) for label in metric.labels if label not in fixed)
    return series * (len(metric.buckets) + 3 if metric.kind == "histogram" else 1)


def of_airflow() -> int:
    rules = [rule for rule in airflow_rules(load_registry()) if rule.metric]
    return sum(samples(rule.metric, OF_AIRFLOW, dict(rule.fixed)) for rule in rules if rule.metric)


def of_all_runs() -> int:
    """What runs send besides their own series, and statsd_exporter's own metrics, about 120."""
    shared = [metric for metric in catalogue.by_transport("statsd") if "run_id" not in metric.labels]
    return 500 + sum(samples(metric, {"operation": len(catalogue.STORE_OPERATIONS)}, {}) for metric in shared)


def run(number: int, epochs: int = 18, sweep: str = "") -> RunRecord:
    config = RunConfig.from_flat({"epochs": epochs}).to_dict()
    return RunRecord(
        f"20261123T030000Z-{number:08x}",
        "mlp",
        "sweep" if sweep else "manual",
        config,
        7,
        "c",
        0.0,
        False,
        sweep=sweep,
        classes=list(CLASSES),
    )


def most(epochs: int, granted: int, tested: bool = True) -> int:
    """Returns the series that a run with this budget creates if nothing stops it."""
    if granted < FIXED_SERIES:
        return 0
    found = kept(epochs, 10, granted)
    fixed = FIXED_SERIES if tested else 9
    return 9 * len(found.curves) + len(CLASSES) * len(found.classes) + fixed


def test_the_limit_is_the_one_that_prometheus_has() -> None:
    jobs = yaml.safe_load((PROJECT / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    [job] = [job for job in jobs if job["job_name"] == "statsd_exporter"]
    assert job["sample_limit"] == SAMPLE_LIMIT


def test_the_runs_share_and_a_hundred_dags_stay_below_the_limit() -> None:
    assert of_airflow() > 50_000, "otherwise the DAGs are not what they seem"
    assert RUNS_SHARE + of_airflow() + of_all_runs() < 0.7 * SAMPLE_LIMIT


@pytest.mark.parametrize("epochs", [1, 2, 18, 50, MAX_EPOCHS])
@pytest.mark.parametrize("runs_first", [True, False])
def test_the_largest_sweep_and_five_runs_stay_below_the_share(memory_store: Any, epochs: int, runs_first: bool) -> None:
    singles = [run(number, MAX_EPOCHS) for number in range(5)]
    trials = [run(100 + number, epochs, "sweep") for number in range(MAX_TRIALS)]
    total = 0
    for record in [*singles, *trials] if runs_first else [*trials, *singles]:
        of_sweep = bool(record.sweep)
        own = record.epochs
        granted = take(memory_store, record, MAX_TRIALS if of_sweep else 1, own, now=0.0)
        assert granted >= FIXED_SERIES
        total += most(own, granted, tested=not of_sweep or record is trials[0])
    assert total <= RUNS_SHARE


def test_the_largest_sweep_of_the_default_recipe_keeps_every_epochs_curves(memory_store: Any) -> None:
    granted = {take(memory_store, run(number, 18, "sweep"), MAX_TRIALS, 18, now=0.0) for number in range(MAX_TRIALS)}
    assert len(granted) == 1, "trials are compared with each other"
    found = kept(18, 10, granted.pop())
    assert (len(found.curves), len(found.classes)) == (18, 4)
    assert take(memory_store, run(999), 1, 18, now=0.0) == series_budget(18, 10), (
        "the nightly run is complete beside it"
    )


def test_any_runs_at_any_rate_stay_below_the_share(memory_store: Any) -> None:
    """Sweeps and runs start at random times; each sends everything that it may, and once more at its end."""
    chance = random.Random(7)
    now, live, pending = 0.0, dict[str, tuple[int, float]](), list[tuple[float, RunRecord]]()
    fullest = 0
    for number in range(150):
        now += chance.choice([0.0, 60.0, 600.0, 3_600.0])
        epochs = chance.choice([1, 5, 18, 60, MAX_EPOCHS])
        trials = chance.choice([1, 1, 1, 3, 20, 40])
        sweep = f"sweep {number}" if trials > 1 else ""
        for trial in range(trials):
            record = run(1_000 * number + trial, epochs, sweep)
            granted = take(memory_store, record, trials, epochs, now)
            record = replace(record, series_budget=granted)
            size = most(epochs, granted, tested=trial == 0)
            live[record.run_id] = size, now + chance.uniform(0, OPEN_SECONDS)
            heapq.heappush(pending, (now + chance.uniform(0, 12 * 3_600), number * 1_000 + trial, record))  # type: ignore[misc]
        while pending and pending[0][0] <= now:
            _, _, record = heapq.heappop(pending)  # type: ignore[misc]
            size = live[record.run_id][0]
            if take_again(memory_store, record, size, now):
                live[record.run_id] = size, now + SENT_SECONDS
        held = sum(size for size, until in live.values() if until > now)
        fullest = max(fullest, held)
        assert held <= RUNS_SHARE, number
    assert fullest > 0.9 * RUNS_SHARE, "otherwise nothing was tried"


def test_a_share_is_released_when_the_gauges_have_left_the_exporter(memory_store: Any) -> None:
    first = run(1, MAX_EPOCHS)
    whole = take(memory_store, first, 1, MAX_EPOCHS, now=0.0)
    granted = [take(memory_store, run(number, MAX_EPOCHS), 1, MAX_EPOCHS, now=0.0) for number in range(1, 201)]
    assert (granted[0], granted[-1]) == (whole, 0)
    for number, series in enumerate(granted, 1):
        assert take_again(memory_store, run(number, MAX_EPOCHS), series, now=100.0)
    assert take(memory_store, run(201, MAX_EPOCHS), 1, MAX_EPOCHS, now=SENT_SECONDS) == 0
    assert take(memory_store, run(202, MAX_EPOCHS), 1, MAX_EPOCHS, now=101.0 + SENT_SECONDS) == whole


def test_a_run_of_30_hours_keeps_its_share_to_the_end(memory_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(room, "time", SimpleNamespace(time=lambda: clock.now))
    long, lost = (replace(run(number, 200), series_budget=1) for number in (1, 2))
    for each in (long, lost):
        take(memory_store, each, 1, 200)
    hold = Hold(memory_store, long)
    for minute in range(30 * 60):
        clock.now = 60.0 * minute
        hold.renew()
    held = json.loads(memory_store.find(KEY).body)["held"]
    assert held[long.run_id]["until"] >= clock.now + OPEN_SECONDS / 2
    take(memory_store, run(3), 1, 18)
    assert set(json.loads(memory_store.find(KEY).body)["held"]) == {long.run_id, run(3).run_id}, (
        "the other run says nothing"
    )


def test_the_share_of_a_killed_run_is_released_two_hours_after_it_was_last_seen(
    memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(room, "time", SimpleNamespace(time=lambda: clock.now))
    killed = replace(run(1, 200), series_budget=take(memory_store, run(1, 200), 1, 200))
    hold = Hold(memory_store, killed)
    for minute in range(0, 300, 5):
        clock.now = 60.0 * minute
        hold.renew()
    seen = clock.now
    assert room.RENEWED_SECONDS + SENT_SECONDS < OPEN_SECONDS, "its gauges expire earlier"
    assert not take_again(memory_store, run(2), RUNS_SHARE, now=seen + SENT_SECONDS)
    assert take_again(memory_store, run(2), RUNS_SHARE, now=seen + 2 * 3_600)


def test_a_run_whose_epochs_take_longer_takes_its_share_again_if_there_is_room(
    memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(room, "time", SimpleNamespace(time=lambda: clock.now))
    slow = replace(run(1, 200), series_budget=take(memory_store, run(1, 200), 1, 200))
    hold = Hold(memory_store, slow)
    clock.now = 10 * 3_600.0
    hold.renew()
    assert not take_again(memory_store, run(2), RUNS_SHARE, now=clock.now), "the run holds it"
    clock.now = 20 * 3_600.0
    assert take_again(memory_store, run(2), RUNS_SHARE, now=clock.now)
    hold.renew()
    held = from_json(Parts, memory_store.find(KEY).body).held
    assert set(held) == {run(2).run_id}, "and never more than there is"


def test_a_store_that_fails_stops_no_run_that_keeps_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RENEWED_SECONDS", -1.0)
    Hold(None, replace(run(1), series_budget=1)).renew()  # type: ignore[arg-type]


def test_the_unused_part_of_a_share_is_free_once_the_run_has_ended(memory_store: Any) -> None:
    """A model that is retrained every five minutes, and logs a few metrics, leaves room for others."""
    granted = {}
    for number in range(24):
        log = replace(run(number), metric_series=OTHERS, config={}, classes=[])
        granted[number] = take(memory_store, log, 1, 0, now=300.0 * number)
        assert take_again(memory_store, log, 100, now=300.0 * number + 60)
    assert min(granted.values()) == max(granted.values()) > 3_000
    last = replace(run(23), metric_series=OTHERS, config={}, classes=[])
    assert take_again(memory_store, last, granted[23], now=8_000.0), (
        "it keeps training: its share grows if there is room"
    )
    assert not take_again(memory_store, last, granted[23] + 1, now=8_000.0)
    assert take_again(memory_store, run(99), RUNS_SHARE - granted[23] - 8 * 100, now=8_000.0)
    assert not take_again(memory_store, replace(last, run_id=run(22).run_id), 101, now=8_000.0), "nothing is left"


def test_runs_that_are_killed_one_after_the_other_leave_room_for_others(
    memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is retrained every five minutes, and runs out of memory; the next run closes the lost one."""
    moment = [0.0]
    monkeypatch.setattr("catwalk.replay.room.time.time", lambda: moment[0])
    granted = {}
    for number in range(200):
        moment[0] = 300.0 * number
        log = replace(run(number), metric_series=OTHERS, config={}, classes=[])
        granted[number] = take(memory_store, log, 1, 0)
        if number:
            give_up(memory_store, run(number - 1).run_id, moment[0] - 240)
    assert min(granted.values()) > 3_000
    assert take(memory_store, run(999, 100), 1, 100) > 500, "and another model's run has its curves"
    give_up(memory_store, "20260101T000000Z-00000000", moment[0])  # unknown to everyone
    held = from_json(Parts, memory_store.find(KEY).body).held.values()
    shown = SENT_SECONDS // 300
    assert sum(part.until > moment[0] for part in held) >= shown, "as long as statsd_exporter shows their points"


def test_a_run_without_a_share_is_sent_again_only_if_it_has_room(memory_store: Any) -> None:
    assert take_again(memory_store, run(1), RUNS_SHARE - 10, now=0.0)
    assert take_again(memory_store, run(1), RUNS_SHARE - 10, now=1.0), "its own share counts once"
    assert not take_again(memory_store, run(2), 11, now=2.0)
    assert take_again(memory_store, run(3), 10, now=2.0)
    assert take_again(memory_store, run(2), 11, now=2.0 + SENT_SECONDS)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"held": 1}', b'{"held": {"a": {"each": "x", "total": null}}}'])
def test_a_damaged_list_is_replaced(memory_store: Any, body: bytes) -> None:
    memory_store.put(KEY, body)
    assert take(memory_store, run(1), 1, 18, now=0.0) == series_budget(18, 10)
    assert take(memory_store, run(1), 1, 18, now=0.0) == series_budget(18, 10)


def test_a_negative_share_makes_no_room(memory_store: Any) -> None:
    memory_store.put(KEY, b'{"held": {"a": {"each": 0, "total": -1000000, "until": 1e12}}}')
    assert take_again(memory_store, run(1), RUNS_SHARE, now=0.0)
    assert not take_again(memory_store, run(2), 1, now=0.0)


def test_a_share_that_a_clock_ahead_has_taken_is_released(memory_store: Any) -> None:
    assert take_again(memory_store, run(1), RUNS_SHARE - 1_000, now=1e12)
    assert take_again(memory_store, run(2), 10, now=0.0)
    assert not take_again(memory_store, run(3), RUNS_SHARE - 1_000, now=OPEN_SECONDS - 1)
    assert take_again(memory_store, run(3), RUNS_SHARE - 1_000, now=OPEN_SECONDS + 1)


def test_a_store_whose_etags_change_on_the_way_delays_no_run(
    memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that compresses answers makes them weak: no condition ever holds."""
    monkeypatch.setattr("catwalk.storage.swap._FIRST_PAUSE", 0.0)
    take(memory_store, run(1), 1, 18)
    find = memory_store.find
    monkeypatch.setattr(memory_store, "find", lambda key: replace(find(key), etag="W/x"))
    with pytest.raises(StoreError, match="does this S3 keep ETags"):
        take(memory_store, run(2), 1, 18)


@pytest.mark.parametrize("epochs", [1, 2, 17, 18, MAX_EPOCHS])
def test_a_run_creates_no_more_series_than_its_budget_and_reports_the_rest(make_run: Any, epochs: int) -> None:
    for granted in (0, *range(FIXED_SERIES, series_budget(epochs, 10) + 20, 1 + 3 * epochs)):
        made = make_run(epochs)
        made.record = replace(
            made.record, config=RunConfig.from_flat({"epochs": epochs}).to_dict(), series_budget=granted
        )
        points = run_points(made)
        assert len(points) <= granted
        assert len(points) == most(epochs, granted) == series_budget(epochs, 10) - series_left_out(epochs, 10, granted)
        shown = {int(point.labels["epoch"]) for point in points if "epoch" in point.labels}
        if granted >= FIXED_SERIES + 18:
            assert {1, epochs} <= shown
        assert all(set(point.labels) == set(point.metric.labels) for point in points)


def test_an_epoch_with_a_loss_of_nan_is_never_left_out(make_run: Any, make_epoch: Any) -> None:
    """Training stops with it, and an alert relies on it."""
    made = make_run(18)
    made.record = replace(made.record, series_budget=FIXED_SERIES + 27)
    epochs = [*made.training().epochs[:7], make_epoch(8, train_loss=math.nan)]
    made.training = lambda: type("Training", (), {"epochs": epochs})
    points = [point for point in run_points(made) if "epoch" in point.labels]
    assert {point.labels["epoch"] for point in points} == {"1", "8"}
    assert len(points) == 18


def test_a_run_without_a_budget_is_complete(make_run: Any) -> None:
    """A run that was opened before budgets existed."""
    assert make_run(18).record.series_budget is None
    assert len(run_points(make_run(18))) == series_budget(18, 10)


def test_a_store_that_does_not_answer_stops_no_run(memory_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(key: str) -> None:
        raise StoreUnavailableError("S3 does not answer")

    monkeypatch.setattr(memory_store, "find", broken)
    opened = with_room(memory_store, run(1, 50), [50])
    assert opened == replace(run(1, 50), series_budget=smallest(run(1, 50)), series_left_out=19 * 50 - 5 * 9)


@pytest.mark.integration
def test_a_run_has_its_budget_from_the_moment_it_is_opened(s3_store: Store) -> None:
    ledger, observer = Ledger(s3_store), Emitter(Address("127.0.0.1", 9))
    config = RunConfig.from_flat({"source": "synthetic", "epochs": MAX_EPOCHS})

    def opened(run_id: str, sweep: str, trials: int) -> Run:
        return open_run(ledger, run_id, CLASSIFIER, config, "sweep", "d", "r", sweep, [config] * trials, observer)

    first = opened("20261123T030000Z-00000001", "a sweep", MAX_TRIALS)
    granted = first.record.series_budget
    assert granted is not None
    assert FIXED_SERIES < granted < series_budget(MAX_EPOCHS, 10)
    assert first.record.series_left_out == series_left_out(MAX_EPOCHS, 10, granted)
    summary = first.summary()
    assert summary is not None
    assert summary.series_left_out == first.record.series_left_out
    others = [opened(f"20261123T030000Z-{number:08x}", f"sweep {number}", MAX_TRIALS) for number in range(2, 8)]
    assert others[-1].record.series_budget == 0, "nothing is left"
    assert opened(first.run_id, "a sweep", MAX_TRIALS).record == first.record, "a later try finds it"
    assert opened("20261123T030000Z-000000ff", "a sweep", MAX_TRIALS).record.series_budget == granted


@pytest.mark.integration
def test_many_at_once_take_no_more_than_there_is(s3_store: Store) -> None:
    with ThreadPoolExecutor(12) as pool:
        granted = list(pool.map(lambda number: take(s3_store, run(number, MAX_EPOCHS), 1, MAX_EPOCHS), range(36)))
    assert sum(granted) <= RUNS_SHARE
    assert min(granted) == 0 or sum(granted) > 0.9 * RUNS_SHARE


TICKETS = catwalk.Multiclass([f"queue {number}" for number in range(100)])


def log_a_run(run_: Any, epochs: int, problem: Any) -> None:
    """Logs as a script does: a loss for each epoch, then the test."""
    labels = np.arange(600) % (100 if problem is TICKETS else 2)
    for epoch in range(1, epochs + 1):
        run_.epoch(epoch, train={"loss": 1 / epoch}, validation={"loss": 2 / epoch, "прибыль": -epoch})
    run_.model(b"weights")
    run_.test(labels, labels if problem is TICKETS else 0.2 + 0.6 * labels, keys=range(600))


def opened_together(stack: ExitStack) -> list[Any]:
    """Five runs of models with 100 classes, and one of 2,000 epochs, all open at once."""
    models = [(f"tickets-{number}", 40, TICKETS) for number in range(5)] + [("long", 2_000, catwalk.Binary())]
    runs = [(stack.enter_context(catwalk.run(name, problem)), epochs, problem) for name, epochs, problem in models]
    for one, epochs, problem in runs:
        log_a_run(one, epochs, problem)
    return [one.run_id for one, _, _ in runs]


def swept(emitter: Emitter, store: Store, whole: Any) -> dict[str, int]:
    """The largest sweep of the default recipe: run id → series of each trial, all sent."""
    made = {}
    for number in range(MAX_TRIALS):
        whole.record = with_room(store, run(number, 18, "sweep"), [18] * MAX_TRIALS)
        points = [point for point in run_points(whole) if "epoch" in point.labels]
        assert emitter.resend(points) == len(points) > 0
        made[whole.record.run_id] = len(points)
    return made


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_sweep_and_many_models_at_once_in_a_real_prometheus(
    make_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that is retrained in an hour, at one moment: Prometheus drops no scrape, and has what the ledgers
    expect.
    """
    statsd_exporter = StatsdExporter()
    prometheus = Scraper(tmp_path, statsd_exporter.web_port)
    for name in ("CATWALK_RUN_KEY", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_STATSD", str(statsd_exporter.address))
    monkeypatch.setenv("CATWALK_SHIP", "1")
    ledger = Ledger(open_store())
    try:
        expected = swept(Emitter(statsd_exporter.address), ledger.store, make_run(18))
        with ExitStack() as stack:
            together = opened_together(stack)
        for _ in range(12):  # one model that is retrained every five minutes
            with catwalk.run("often", catwalk.Binary(), every="5 min") as often:
                log_a_run(often, 10, catwalk.Binary())
            together.append(often.run_id)
        expected |= {run_id: len(run_points(ledger.run(run_id))) for run_id in together}
        assert sum(expected.values()) <= RUNS_SHARE
        wait_until(lambda: prometheus.series_by_run() == expected, "every series that the ledgers expect")
        assert prometheus.query('min_over_time(up{job="statsd_exporter"}[10m])') == [1]
        [samples] = prometheus.query("max_over_time(scrape_samples_scraped[10m])")
        assert samples < RUNS_SHARE + of_all_runs()
        for run_id in together:
            summary = ledger.run(run_id).summary()
            assert summary and (summary.state, summary.points_dropped) == ("succeeded", 0)
            assert summary.series_left_out == left_out(ledger.run(run_id))
            assert (summary.series_left_out > 0) == (summary.model != "often"), summary.model
    finally:
        prometheus.stop()
        statsd_exporter.stop()


class Scraper:
    """A Prometheus that scrapes statsd_exporter as the stack's does, and does nothing else."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        job = {
            "job_name": "statsd_exporter",
            "sample_limit": SAMPLE_LIMIT,
            "scrape_interval": "10s",
            "scrape_timeout": "10s",
        }
        config = {"scrape_configs": [{**job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]}
        (folder / "prometheus.yml").write_text(json.dumps(config))
        command = [
            str(tool("prometheus")), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)
        wait_until(lambda: self.query("up") == [1], "a first scrape")

    def ask(self, expression: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            return json.loads(access.fetch(url, timeout=30))["data"]["result"]
        except OSError:  # it starts
            return []

    def query(self, expression: str) -> list[float]:
        return [float(found["value"][1]) for found in self.ask(expression)]

    def series_by_run(self) -> dict[str, int]:
        found = self.ask('count by (run_id) (last_over_time({__name__=~"ml_.+", run_id!=""}[10m]))')
        return {one["metric"]["run_id"]: int(one["value"][1]) for one in found}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.mark.integration
def test_the_largest_sweep_in_the_real_exporter(make_run: Any, memory_store: Any) -> None:
    """Sends every line of 200 trials of 200 epochs, the chosen one's test, and five runs of 200 epochs."""
    exporter = StatsdExporter()
    try:
        emitter, expected = Emitter(exporter.address), 0
        emitter.count(announcements())
        whole = make_run(MAX_EPOCHS)
        for number in range(MAX_TRIALS + 5):
            of_sweep = number < MAX_TRIALS
            record = run(number, MAX_EPOCHS, "sweep" if of_sweep else "")
            trials = [record.epochs] * (MAX_TRIALS if of_sweep else 1)
            whole.record = with_room(memory_store, record, trials)
            points = run_points(whole)
            chosen = not of_sweep or number == 0
            stages = ("ingest", "train", "publish")
            sent = [
                point for point in points if chosen or "epoch" in point.labels or point.labels.get("stage") in stages
            ]
            assert emitter._stream(list(emitter._gauges(sent))) == len(sent) > 0
            expected += len(sent)
        scrape = wait_until(lambda: (found := exporter.scrape()) and len(found.of("ml_")) >= expected and found)
        assert len(scrape.samples) < RUNS_SHARE + of_all_runs()
        assert emitter.take_dropped() == 0
    finally:
        exporter.stop()
