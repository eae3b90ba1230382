"""How long Prometheus takes for every query of every dashboard, with 1,000 runs over 90 days, 10 of them selected.

Everything is stored as a 10-second scrape would store it: the series of a run for an hour or two after it, all others
all the time. Series that no query reads over a range (most series of a run) have one sample each, so that the index has
its real size. Families of the same shape are stored once, and queries for the others use that family's name.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from catwalk.ledger.records.run import STAGES
from ml.fashion_mnist.config import CLASSES
from tests.bench.measure import Measurement
from tests.grafana.asking import ask
from tests.grafana.promql import Query, all_queries
from tests.support.recorded import create_blocks, recorded

RUNS, CHOSEN, RECENT, CHAMPIONS = 1_000, 10, 60, 5
COUNTED = 24
"""The newest runs, whose points the rules still compare, and a few more."""
DAYS = 90
EPOCHS = 18
SCRAPE = 10
HOUR = 3_600
BLOCK = 486 * HOUR
"""Prometheus' block size below the 720 hours that this asks for, so that each block's file is read once."""
ROUNDS = 20
LIMIT_MS = 100
_OF_RUNS = ("duration", "schedule_delay", "first_task_start_delay")
DAG_COUNTERS = [f"airflow_dagrun_{name}_seconds_{part}" for name in _OF_RUNS for part in ("sum", "count")]
OTHER_COUNTERS = (
    *("airflow_ti_finish_total", "ml_store_errors_total", "statsd_exporter_events_unmapped_total"),
    *("prometheus_notifications_sent_total", "alertmanager_notifications_total"),
)
SAME_SHAPE = {
    r"catwalk_model_(loss|calibration_error_ratio)|model:dataset_statistic\w*:\w+": "catwalk_model_accuracy_ratio",
    r"catwalk_model_dataset_class_share_ratio": "catwalk_model_class_accuracy_ratio",
    r"(statsd_exporter|prometheus|airflow)_\w+|catwalk_canary_\w+|ml_store_errors_total": "catwalk_canary_sent_total",
    r"job:\w+:max1m|component:airflow_healthy:min1m|operation:\w+:(max1m|rate1m)": "job:up:min1m",
    r"scrape_\w+|up|job:sample_limit_used_ratio:max|alertmanager_\w+|"
    r"job:scraped_timestamp_seconds:last|"
    r"catwalk_airflow_component_healthy": "scrape_duration_seconds",
}
"""Families that are not stored → the family that stands for them, with the same number of series."""


@dataclass(frozen=True)
class Series:
    """One series while it is scraped."""

    name: str
    labels: str
    start: int
    end: int
    value: float
    step: int = SCRAPE


def measure(say: Callable[[str], None]) -> list[Measurement]:
    """Returns one line for each dashboard: the 95th percentile of each of its queries. Every query goes to `say`."""
    now = int(time.time()) // SCRAPE * SCRAPE
    with tempfile.TemporaryDirectory(prefix="catwalk-bench-") as work:
        samples = _backfill(Path(work), now, say)
        say(f"dashboards: {samples:,} samples stored; asking each query {ROUNDS} times")
        with recorded(Path(work)) as url:
            times = _times(url, now)
    for query, spent in sorted(times.items(), key=lambda entry: -_p95(entry[1])):
        say(f"{_p95(spent):8.1f} ms  {query.name}")
    by_dashboard: dict[str, list[float]] = {}
    for query, spent in times.items():
        by_dashboard.setdefault(query.dashboard, []).append(_p95(spent))
    return [
        Measurement(
            f"{uid}: p95 of each query, {DAYS} days, {CHOSEN} of {RUNS:,} runs", values, " ms", f"max {LIMIT_MS}"
        )
        for uid, values in by_dashboard.items()
    ]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _run_id(number: int) -> str:
    return f"20260101T030000Z-{number:08x}"


def _series(now: int) -> Iterator[Series]:
    """Yields everything that is stored, by family."""
    begin = now - DAYS * 86_400
    gap = DAYS * 86_400 // RUNS
    starts = [begin + number * gap for number in range(RUNS)]
    long, short = 2 * HOUR, HOUR
    for number, start in enumerate(starts):
        run = f'run_id="{_run_id(number)}",model="mlp"'
        chosen, new = number >= RUNS - CHOSEN, number >= RUNS - RECENT

        def kept(name: str, labels: str, seconds: int, whole: bool, begin: int = start, run: str = run) -> Series:
            """A series of this run: its whole length, or one sample."""
            text = f"{run},{labels}" if labels else run
            return Series(name, text, begin, begin + (seconds if whole else 1), begin)

        for name in ("catwalk_run_started_timestamp_seconds", "catwalk_run_info"):
            yield kept(name, 'trigger="schedule",git_commit="c0ffee"' if name.endswith("info") else "", long, True)
        yield kept("ml_test_accuracy_ratio", "", short, True)
        yield kept("catwalk_decision_info", 'decision="hold",reason="no_better"', long, True)
        for name in ("duration_seconds", "best_validation_loss", "last_validation_loss", "best_epoch"):
            yield kept(f"catwalk_run_{name}", "", long, chosen)
        for name in ("run:points_stored:count", "run:points_missing:count"):
            yield kept(name, "", 14 * HOUR, number >= RUNS - COUNTED)
        for name in ("expected", "dropped"):
            yield kept(f"catwalk_run_points_{name}", "", 12 * HOUR, number >= RUNS - COUNTED)
        for state in ("running", "succeeded", "failed", "cancelled", "stalled"):
            yield kept("catwalk_run_state", f'state="{state}"', long, new)
        for check in ("accuracy_floor", "recall_floor", "calibration", "better", "not_inferior_champion", "class"):
            for name in ("value", "threshold", "low", "high"):
                yield kept(f"catwalk_gate_{name}", f'check="{check}"', long, chosen)
            yield kept("catwalk_gate_check", f'check="{check}",verdict="passed"', long, chosen)
        for knob in range(20):
            yield kept("catwalk_run_parameter", f'name="knob_{knob}"', long, chosen)
        for knob in ("hidden", "source", "device"):
            yield kept("catwalk_run_setting", f'name="{knob}",value="some text"', long, chosen)
        for stage in STAGES:
            yield kept("ml_stage_duration_seconds", f'stage="{stage}"', short, new)
            for name in ("ml_stage_peak_memory_bytes", "ml_stage_cpu_seconds", "catwalk_run_attempts"):
                yield kept(name, f'stage="{stage}"', short, chosen)
            for name in ("started", "ended"):
                yield kept(f"catwalk_stage_{name}_timestamp_seconds", f'stage="{stage}"', long, new)
        for epoch in range(1, EPOCHS + 1):
            for name in ("learning_rate", "gradient_norm", "duration_seconds", "examples_per_second", "index"):
                yield kept(f"ml_epoch_{name}", f'epoch="{epoch}"', short, chosen)
            for split in ("train", "validation"):
                for name in ("loss", "accuracy_ratio"):
                    yield kept(f"ml_epoch_{name}", f'split="{split}",epoch="{epoch}"', short, chosen)
            for label in CLASSES:
                yield kept("ml_epoch_class_accuracy_ratio", f'class="{label}",epoch="{epoch}"', short, chosen)
        for label in CLASSES:
            for name in ("accuracy", "precision", "f1"):
                yield kept(f"ml_test_class_{name}_ratio", f'class="{label}"', short, chosen)
            for other in CLASSES:
                labels = f'true_class="{label}",predicted_class="{other}"'
                yield kept("ml_test_confusion_examples", labels, short, chosen)
            yield kept("catwalk_model_class_accuracy_ratio", f'class="{label}",role="latest"', gap, new)
        yield kept("catwalk_model_accuracy_ratio", 'role="latest"', gap, True)
    per_champion = RUNS // CHAMPIONS
    for number in range(0, RUNS, per_champion):
        labels = f'run_id="{_run_id(number)}",model="mlp",role="champion"'
        span = starts[number], starts[number] + per_champion * gap
        yield Series("catwalk_model_accuracy_ratio", labels, *span, 0.9)
        yield Series("catwalk_champion_promoted_timestamp_seconds", labels, *span, starts[number])
        for label in CLASSES:  # queries read only the champion's present value
            yield Series(
                "catwalk_model_class_accuracy_ratio", f'{labels},class="{label}"', span[1] - HOUR, span[1], 0.9
            )
    for day in range(DAYS):
        for area in ("model", "pipeline", "telemetry"):
            labels = f'alertname="{area} alert",alertstate="firing",severity="warning",area="{area}"'
            yield Series("ALERTS", labels, begin + day * 86_400, begin + day * 86_400 + HOUR, 1)
        for counter in (*DAG_COUNTERS, *OTHER_COUNTERS):  # an event every ten minutes, one a day of a DAG's
            labels = f'counter="{counter}",dag_id="nightly",task_id="train",state="failed"'
            at = begin + day * 86_400
            step = 86_400 if counter in DAG_COUNTERS else 600
            yield Series("job:counter:growth", labels, at, at + 86_400, 1, step)
    yield Series("catwalk_canary_sent_total", 'job="exporter",instance="one"', begin, now, 5)
    for job, integration in (
        ("statsd_exporter", "webhook"),
        ("exporter", "email"),
        ("alertmanager", "slack"),
        ("prometheus", ""),
    ):
        labels = f'job="{job}",operation="{job}",component="{job}",integration="{integration}"'
        yield Series("scrape_duration_seconds", labels, begin, now, 0.01)
        yield Series("job:up:min1m", labels, begin, now, 1, 60)


def _backfill(folder: Path, now: int, say: Callable[[str], None]) -> int:
    """Stores everything as blocks; returns the number of samples."""
    families: dict[str, list[Series]] = {}
    for series in _series(now):
        families.setdefault(series.name, []).append(series)
    first = (now - DAYS * 86_400) // BLOCK * BLOCK
    samples = 0
    for start in range(first, now, BLOCK):
        day = max(0, start - now + DAYS * 86_400) // 86_400
        say(f"dashboards: storing from day {day} of {DAYS}; minutes in all")
        text = folder / "samples"
        with text.open("w", buffering=1 << 20) as file:
            for name, members in families.items():
                parts = [lines for series in members if (lines := _lines(series, start, start + BLOCK))]
                if parts:
                    file.write(f"# TYPE {name} gauge\n")
                for lines in parts:
                    samples += len(lines)
                    file.write("".join(lines))
            file.write("# EOF\n")
        create_blocks(text, folder / "data")
        text.unlink()
    return samples


def _lines(series: Series, start: int, end: int) -> list[str]:
    """Returns the samples of a series in a time span, as OpenMetrics."""
    stem = f"{series.name}{{{series.labels}}} {series.value} "
    return [f"{stem}{at}\n" for at in range(max(start, series.start), min(end, series.end), series.step)]


def _times(url: str, now: int) -> dict[Query, list[float]]:
    """Returns the milliseconds of each query, from the request to the parsed answer."""
    at, seconds = now - SCRAPE, DAYS * 86_400
    chosen = "|".join(_run_id(number) for number in range(RUNS - CHOSEN, RUNS))
    several = {
        "model": "mlp",
        "run": _run_id(RUNS - 1),
        "runs": f"({chosen})",
        "champion": _run_id(RUNS - RUNS // CHAMPIONS),
        "split": "validation",
        "metric": "accuracy",
        "statistic": "",  # the family that stands for it has no such label
        "dag": "nightly",
    }
    found: dict[Query, list[float]] = {}
    for query in all_queries():
        variables = {**several, "newest": "10", "recent": _recent(10 if query.dashboard == "catwalk-home" else RECENT)}
        stand_in, spent = replace(query, expr=_renamed(query.expr)), found.setdefault(query, [])
        for _ in range(ROUNDS):
            started = time.perf_counter()
            ask(url, stand_in, variables, at, seconds)
            spent.append(1_000 * (time.perf_counter() - started))
    return found


def _recent(count: int) -> str:
    return "(" + "|".join(_run_id(number) for number in range(RUNS - count, RUNS)) + ")"


def _renamed(expr: str, shapes: Mapping[str, str] = SAME_SHAPE) -> str:
    """Rewrites the query for the families that are stored."""
    for family, stored in shapes.items():
        expr = re.sub(rf"\b(?:{family})\b(?=[\s{{\[)]|$)", stored, expr)
    return expr
