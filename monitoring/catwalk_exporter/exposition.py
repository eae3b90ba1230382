"""The exporter's metrics for Prometheus: its families of the catalogue, from one snapshot of the ledger."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as PrometheusFamily
from prometheus_client.registry import Collector

from catwalk.clients.airflow_health import DagRun, DagSchedule
from catwalk.environment.former_names import under_new_names
from catwalk.environment.schedule import Schedule
from catwalk.knobs import knob_text
from catwalk.ledger.models.overview import PIPELINE, Overview, overview
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.summary import StageSummary, SummaryRecord
from catwalk.ledger.records.values import class_names
from catwalk.ledger.summaries import may_be_silent, shown_state, stalled_seconds
from catwalk.problems.binary import Binary
from catwalk.problems.interface import Problem
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.regression import Regression
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.wire.labels import label_value
from catwalk_exporter.disks import Disk, disk_folders
from catwalk_exporter.last_runs import last_runs
from catwalk_exporter.realised import realised
from catwalk_exporter.snapshot import Snapshot

STATES = ("running", "succeeded", "failed", "cancelled", "stalled", "untested", "lost")
SHOWN_SECONDS = 2 * 3600.0
"""How long after its last change a finished run is exported; afterwards Prometheus has its history."""
SHOWN_RUNS = 1_000
"""The most runs that are exported: more could exceed what Prometheus accepts from the exporter. A run has about 60
series, and about 120 with a decision.
"""
UNFINISHED_SECONDS = 24 * 3600.0
"""The same for a run that never reported its end, from when it counts as stalled or lost: an alert on it must not
resolve only because it is silent.
"""
_HARMLESS = "no_better"
"""The reason for a hold that does not discredit the run."""
_LINKS = ("airflow", "prometheus", "alertmanager", "grafana", "exporter", "courier")
_SHARED_LABELS = frozenset(label for metric in catalogue.by_transport("statsd") for label in metric.labels)
"""Labels that series sent through StatsD also have."""

Family = GaugeMetricFamily | CounterMetricFamily


@dataclass(frozen=True)
class Settings:
    """The settings from the environment."""

    schedule: Schedule = field(default_factory=Schedule)
    """When runs are due."""
    since: float = 0.0
    """The Unix time from which a schedule's first run is due: when the exporter started."""
    stalled_seconds: float = 600.0
    """How long a running run may be silent before it counts as stalled."""
    links: Mapping[str, str] = field(default_factory=dict)
    """The URL for people, by part."""
    disks: Mapping[str, Path] = field(default_factory=dict)
    """A folder on each volume."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads the schedule, `CATWALK_STALLED_SECONDS`, `CATWALK_DISKS` and `CATWALK_<PART>_URL`.

        For links, `CATWALK_<PART>_PUBLIC_URL` takes precedence over `CATWALK_<PART>_URL`, the address for programs.

        Raises:
            ConfigError: there is no such schedule, a duration is not a positive number, or the disks are not a list of
                ``name=path``.
        """
        given = under_new_names(os.environ)
        urls = {
            name: given.get(f"CATWALK_{name.upper()}_PUBLIC_URL") or given.get(f"CATWALK_{name.upper()}_URL")
            for name in _LINKS
        }
        return cls(
            Schedule.from_environment(),
            time.time(),
            stalled_seconds(),
            {name: url for name, url in urls.items() if url},
            disk_folders(),
        )


@dataclass(frozen=True)
class Facts:
    """Everything that one rendering needs."""

    snapshot: Snapshot
    store_up: bool
    airflow: Mapping[str, bool]
    """Whether each component is healthy; empty if no Airflow is watched."""
    canary_sent: int | None
    """None if no canary runs."""
    now: float
    dags_paused: Mapping[str, bool] = field(default_factory=dict)
    """Whether each DAG is paused; empty until Airflow has answered."""
    dag_failures: Mapping[DagRun, float] = field(default_factory=dict)
    """When the last ended run of each DAG failed, if it did."""
    dag_schedules: Mapping[str, DagSchedule] = field(default_factory=dict)
    """The schedule of each DAG; empty until Airflow has answered."""
    disks: Mapping[str, Disk] = field(default_factory=dict)
    """The space of each volume."""


class Exposition:
    """Renders facts as Prometheus' text format."""

    def __init__(self, settings: Settings) -> None:
        metric = catalogue.EXPORTER_STORE_DURATION
        self._store = Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=None)
        for operation in (
            "get",
            "list",
        ):  # the two operations of the exporter: their series exist from the start, for rate()
            self._store.labels(operation)
        self._collector = _Facts(settings, self._store)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)  # its start time, for an alert on targets that restart repeatedly

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        """Records one request of the exporter to the store; may be called from any thread."""
        self._store.labels(operation).observe(seconds)

    def render(self, facts: Facts) -> bytes:
        """Returns the exposition. Don't call it from two threads at once."""
        self._collector.facts = facts
        return generate_latest(self._registry)


class _Facts(Collector):
    """Gives prometheus-client the families of the facts to render."""

    def __init__(self, settings: Settings, store: Histogram) -> None:
        self._settings = settings
        self._store = store
        self.facts: Facts | None = None

    def collect(self) -> Iterator[PrometheusFamily]:
        if self.facts:
            yield from families(self.facts, self._settings)
        for family in self._store.collect():
            # Nothing here uses a series' creation time, and the catalogue has no such metric.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def families(facts: Facts, settings: Settings) -> Iterator[Family]:
    """Yields every family with its samples, without families that have none."""
    made = {metric: _family(metric) for metric in catalogue.by_transport("exporter") if metric.kind != "histogram"}
    summaries = facts.snapshot.summaries
    snapshot, shown = facts.snapshot, _shown(summaries, facts.now, settings.stalled_seconds)
    models = overview(summaries, snapshot.models, snapshot.champions, settings.schedule, settings.since)
    retired = {model.model for model in models if not model.in_use}
    for rows in (
        _own(facts, settings),
        _runs(facts, settings, shown),
        _known_models(models),
        _models(snapshot, retired),
        realised(snapshot, retired, facts.now),
        last_runs(snapshot, facts.now, settings.stalled_seconds),
        _decisions(summaries, shown, retired),
        _airflow(facts),
        _freshness(facts, settings, models),
    ):
        for metric, value, labels in rows:
            made[metric].add_metric([*map(_as_sent, metric.labels, labels)], value)
    yield from (family for family in made.values() if family.samples)


Row = tuple[Metric, float, tuple[str, ...]]


def _as_sent(name: str, value: str) -> str:
    """Returns a label's value, in StatsD's form if series of both transports are joined by it.

    A character that UTF-8 can't encode would break the whole page.
    """
    return label_value(value) if name in _SHARED_LABELS else value.encode("utf-8", "replace").decode()


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def _own(facts: Facts, settings: Settings) -> Iterator[Row]:
    """The exporter's own probes."""
    yield catalogue.STORE_UP, float(facts.store_up), ()
    if facts.canary_sent is not None:
        yield catalogue.CANARY_SENT, facts.canary_sent, ()
    for name, url in settings.links.items():
        yield catalogue.LINKS, 1, (name, url)
    for volume, disk in facts.disks.items():
        yield catalogue.DISK_FREE, disk.free, (volume,)
        yield catalogue.DISK_SIZE, disk.size, (volume,)


def _airflow(facts: Facts) -> Iterator[Row]:
    for component, healthy in facts.airflow.items():
        yield catalogue.AIRFLOW_COMPONENT_HEALTHY, float(healthy), (component,)
    for dag_id, paused in facts.dags_paused.items():
        yield catalogue.DAG_PAUSED, float(paused), (dag_id,)
    known = {(run.dag_id, run.dag_run_id) for run in facts.snapshot.summaries if run.state == "failed"}
    for dag_run, ended in facts.dag_failures.items():
        if dag_run not in known and facts.now - ended <= UNFINISHED_SECONDS:
            yield catalogue.DAG_RUN_FAILED, ended, dag_run


def _runs(facts: Facts, settings: Settings, shown: Set[str]) -> Iterator[Row]:
    """Yields the families that have a series per run, only for runs of the last hours."""
    for summary in facts.snapshot.summaries:
        run = summary.run_id, summary.model
        points = facts.snapshot.points.get(summary.run_id)
        if points is not None:
            yield catalogue.RUN_POINTS_EXPECTED, points, run
            yield catalogue.RUN_POINTS_DROPPED, summary.points_dropped, run
        if summary.run_id in shown:
            yield from _run(summary, facts.now, settings)


def _shown(summaries: Iterable[SummaryRecord], now: float, stalled_seconds: float) -> Set[str]:
    """Returns the runs whose families are (still) exported: unfinished ones first, then those that changed last."""
    recent = [
        (summary.finished is None, summary.updated, summary.run_id)
        for summary in summaries
        if now - summary.updated <= _shown_seconds(summary, stalled_seconds)
    ]
    return {run_id for _, _, run_id in sorted(recent)[-SHOWN_RUNS:]}


def _shown_seconds(summary: SummaryRecord, stalled_seconds: float) -> float:
    """Returns how long after its last change a run is exported."""
    if summary.finished is not None:
        return SHOWN_SECONDS
    return UNFINISHED_SECONDS + may_be_silent(summary, stalled_seconds)


def _run(summary: SummaryRecord, now: float, settings: Settings) -> Iterator[Row]:
    run = summary.run_id, summary.model
    origin = summary.dag_id, summary.dag_run_id, summary.trigger, summary.git_commit, summary.dataset_sha256
    yield catalogue.RUN_INFO, 1, (*run, *origin)
    for name, value in summary.parameters.items():
        if isinstance(value, int | float):
            yield catalogue.RUN_PARAMETER, value, (*run, name)
        else:
            yield catalogue.RUN_SETTING, 1, (*run, name, knob_text(name, value))
    current = shown_state(summary, now, settings.stalled_seconds)
    for state in STATES:
        yield catalogue.RUN_STATE, float(state == current), (*run, state)
    yield catalogue.RUN_STARTED, summary.started, run
    yield catalogue.RUN_UPDATED, summary.updated, run
    if summary.finished is not None:
        yield catalogue.RUN_FINISHED, summary.finished, run
    yield catalogue.RUN_DURATION, max(0.0, (summary.finished or summary.updated) - summary.started), run
    yield catalogue.RUN_SERIES_LEFT_OUT, summary.series_left_out, run
    for name, stage in summary.stages.items():
        yield from _stage(stage, (*run, name), summary.finished)
    yield from _present(
        run,
        (catalogue.RUN_BEST_VALIDATION_LOSS, summary.best_validation_loss),
        (catalogue.RUN_BEST_TRAIN_LOSS, summary.best_train_loss),
        (catalogue.RUN_MEDIAN_TRAIN_LOSS, summary.median_train_loss),
        (catalogue.RUN_BEST_EPOCH, summary.best_epoch),
        (catalogue.RUN_LAST_VALIDATION_LOSS, summary.last_validation_loss),
    )


def _stage(stage: StageSummary, labels: tuple[str, ...], finished: float | None) -> Iterator[Row]:
    yield catalogue.RUN_ATTEMPTS, stage.attempts, labels
    yield from _present(labels, (catalogue.STAGE_SECONDS, stage.seconds))
    if stage.started is None:
        return
    yield catalogue.STAGE_STARTED, stage.started, labels
    ended = finished if stage.ended is None else stage.ended
    if ended is not None:
        yield catalogue.STAGE_ENDED, max(stage.started, ended), labels


def _known_models(models: Iterable[Overview]) -> Iterator[Row]:
    """Yields facts about each model that a pipeline runs or that is registered, and the model's own limits."""
    for known in models:
        if not known.tried and not known.renamed_to:
            described = known.model, known.problem, known.owner, known.schedule, known.dag_id
            yield catalogue.MODEL_INFO, 1, (*described, str(not known.in_use).lower())
        if known.in_use:
            for name, limit in _limits(known.thresholds).items():
                yield catalogue.THRESHOLD, limit, (known.model, name)


def _limits(thresholds: Mapping[str, Any]) -> dict[str, float]:
    """Returns a model's own limits, by name."""
    groups = (thresholds, *(thresholds.get(group) for group in ("floors", "limits")))
    limits = (found for group in groups if isinstance(group, dict) for found in group.items())
    return {name: limit for name, limit in limits if isinstance(limit, int | float)}


def _models(snapshot: Snapshot, retired: Set[str]) -> Iterator[Row]:
    """Yields the latest version and the champion of each model: few series, always present, so alerts use them."""
    latest: dict[str, SummaryRecord] = {}
    for summary in snapshot.summaries:
        if summary.trigger in PIPELINE and summary.ships and summary.is_tested and summary.model not in retired:
            latest[summary.model] = summary  # oldest first: the last one wins
    for summary in latest.values():
        yield from _model(summary, "latest")
    champions = [champion for champion in snapshot.champions if champion.model not in retired]
    serving = {champion.model: _serving(snapshot, champion) for champion in champions}
    for described in {**serving, **latest}.values():
        yield from _descriptions(described) if described else ()
    for champion in champions:
        yield catalogue.CHAMPION_INFO, 1, (champion.model, champion.run_id, champion.model_sha256)
        yield catalogue.CHAMPION_PROMOTED, champion.promoted, (champion.run_id, champion.model)
        found = serving[champion.model]
        if found:
            yield from _model(found, "champion")


def _serving(snapshot: Snapshot, champion: ChampionRecord) -> SummaryRecord | None:
    """Returns the champion's run, under the model's current name."""
    found = snapshot.summary(champion.run_id)
    return replace(found, model=champion.model) if found else None


def _descriptions(summary: SummaryRecord) -> Iterator[Row]:
    """Yields descriptions of a model's test metrics."""
    headline = summary.headline or "accuracy"
    known = {metric.name: metric for metric in _problem(summary).metrics}
    for name in summary.scores:
        goal = summary.goal if name == headline else known[name].goal if name in known else ""
        unit = known[name].unit if name in known else ""
        is_headline = str(name == headline).lower()
        yield catalogue.METRIC_INFO, 1, (summary.model, name, goal, unit, is_headline)


def _problem(summary: SummaryRecord) -> Problem:
    """Returns the problem of its kind, with the units of the run."""
    of_kind: dict[str, Problem] = {
        "binary": Binary(threshold=0.5, costs=(1, 1)),  # with a threshold or without: all possible metrics
        "regression": Regression(unit=summary.unit),
    }
    return of_kind.get(summary.problem, Multiclass())


def _model(summary: SummaryRecord, role: str) -> Iterator[Row]:
    labels = summary.model, role, summary.run_id
    yield catalogue.MODEL_VERSION, 1, labels
    for name, value in summary.scores.items():
        yield catalogue.MODEL_METRIC, value, (*labels, name)
    yield from _present(
        labels,
        (catalogue.MODEL_ACCURACY, summary.test_accuracy),
        (catalogue.MODEL_LOSS, summary.test_loss),
        (catalogue.MODEL_CALIBRATION_ERROR, summary.test_calibration_error),
        (catalogue.MODEL_DATASET_PIXEL_MEAN, summary.statistics.get("pixel_mean")),
        (catalogue.MODEL_DATASET_PIXEL_STDDEV, summary.statistics.get("pixel_stddev")),
    )
    for name, value in summary.statistics.items():
        yield catalogue.MODEL_DATASET_STATISTIC, value, (*labels, name)
    if summary.dataset_sha256:
        yield catalogue.MODEL_DATASET, 1, (*labels, summary.dataset_sha256)
    for metric, values in (
        (catalogue.MODEL_CLASS_ACCURACY, summary.test_class_accuracy),
        (catalogue.MODEL_DATASET_CLASS_SHARE, summary.class_shares),
    ):
        names = class_names(summary.classes, len(values)) if values else []  # empty until its stage has ended
        for name, value in zip(names, values, strict=True):
            yield metric, value, (*labels, name)


def _decisions(summaries: Iterable[SummaryRecord], visible: Set[str], retired: Set[str]) -> Iterator[Row]:
    """Yields decisions, counted from the ledger each time, so that no event is counted twice or lost."""
    counts: Counter[tuple[str, str, str]] = Counter()
    since_ship: dict[str, int] = {}
    blocked: dict[str, int] = {}
    newest: dict[tuple[str, bool], SummaryRecord] = {}
    shown: dict[str, SummaryRecord] = {}
    for summary in summaries:
        if not summary.decision:
            continue
        counts[summary.model, summary.decision, summary.reason] += 1
        if summary.run_id in visible:
            shown[summary.run_id] = summary
        if not summary.ships or summary.model in retired:
            continue
        since_ship[summary.model] = 0 if summary.decision == "ship" else since_ship.get(summary.model, 0) + 1
        of_pipeline = summary.trigger in PIPELINE
        if of_pipeline:
            held = summary.decision == "hold" and summary.reason != _HARMLESS
            blocked[summary.model] = blocked.get(summary.model, 0) + 1 if held else 0
        newest[summary.model, of_pipeline] = (
            summary  # alerts use the pipeline's decision: a manual run must not hide it
        )
    for summary in {**shown, **{summary.run_id: summary for summary in newest.values()}}.values():
        yield catalogue.DECISION_INFO, 1, (summary.run_id, summary.model, summary.decision, summary.reason)
        yield from _checks(summary)
    for labels, count in counts.items():
        yield catalogue.DECISIONS, count, labels
    for model, count in since_ship.items():
        yield catalogue.RUNS_SINCE_SHIP, count, (model,)
    for model, count in blocked.items():
        yield catalogue.RUNS_BLOCKED, count, (model,)


def _checks(summary: SummaryRecord) -> Iterator[Row]:
    """Yields the gate's values, limits and verdicts; signed values are fine here."""
    for check in summary.checks:
        labels = summary.model, summary.run_id, check.check
        yield catalogue.GATE_CHECK, 1, (*labels, check.verdict)
        yield from _present(
            labels,
            (catalogue.GATE_VALUE, check.value),
            (catalogue.GATE_THRESHOLD, check.threshold),
            (catalogue.GATE_LOW, check.low),
            (catalogue.GATE_HIGH, check.high),
        )


def _present(labels: tuple[str, ...], *values: tuple[Metric, float | None]) -> Iterator[Row]:
    """Yields the metrics that have a value, with the same labels."""
    for metric, value in values:
        if value is not None:
            yield metric, value, labels


def _freshness(facts: Facts, settings: Settings, models: Iterable[Overview]) -> Iterator[Row]:
    last: dict[tuple[str, str], float] = {}
    for summary in facts.snapshot.summaries:
        if summary.state == "succeeded" and summary.finished is not None:
            of_trigger = summary.model, summary.trigger
            last[of_trigger] = max(summary.finished, last.get(of_trigger, 0.0))
    for labels, finished in last.items():
        yield catalogue.LAST_SUCCESS, finished, labels
    for known in models:
        schedule = str(Schedule.of(known.schedule))
        if known.due is not None:
            yield catalogue.NEXT_RUN_DUE, known.due, (known.model, schedule, known.dag_id)
        if known.good_due is not None:
            yield catalogue.GOOD_RUN_DUE, known.good_due, (known.model, schedule)
    begun = {summary.dag_id for summary in facts.snapshot.summaries if summary.trigger == "schedule"}
    yield from _first_due(facts, settings, begun)


def _first_due(facts: Facts, settings: Settings, begun: Set[str]) -> Iterator[Row]:
    """Yields when the first scheduled run is due: for each DAG that has not started one, or for the whole stack if no
    DAG has and no model has its own schedule.
    """
    if not begun and not any(known.schedule for known in facts.snapshot.models):
        waiting = {"": (settings.schedule, settings.since)} if facts.store_up else {}
    else:
        unknown = {name: found for name, found in facts.dag_schedules.items() if name not in begun}
        waiting = {name: (Schedule.of(found.text), found.since) for name, found in unknown.items()}
    for dag_id, (schedule, since) in waiting.items():
        for due in islice(schedule.after(since), 1):
            yield catalogue.NEXT_RUN_DUE, due, ("", str(schedule), dag_id)
