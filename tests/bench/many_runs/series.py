"""What Prometheus holds of each run of a history, as it would have scraped and recorded it, as OpenMetrics.

The series are those that real runs have, by the exporter's own exposition and the runs' own points. How many samples
each of them has is true for all that rules or dashboards read over a range. The others (most series of a run) have one
sample, so that the index has its real size; otherwise the files would take 100 GB.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from catwalk.ledger.records.summary import SummaryRecord
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import Snapshot
from stack.settings import PROJECT
from tests.bench.many_runs.history import DAY, DAYS, Past, champions
from tests.bench.many_runs.templates import STAGED, Template
from tests.grafana.promql import all_queries

SCRAPE, HOUR = 10, 3_600
CHOSEN, RECENT = 10, 60
"""The newest runs of the classifier that dashboards select, and that they draw."""
_TIME, _STARTED = "\0", "\1"
"""Placeholders in lines."""
_STATSD_EXPORTER = 'job="statsd_exporter",instance="127.0.0.1:9102"'
_EXPORTER = 'job="exporter",instance="127.0.0.1:9180"'
_RECORDED = {
    "run:loss:last": ('split="train"', 'split="validation"'),
    "run:loss:best": ('split="train"', 'split="validation"'),
    "run:loss:median": ('split="train"',),
    "run:pipeline_run:info": ('trigger="schedule"',),
    **dict.fromkeys(("run:epoch_index:last", "run:epoch_index:best", "run:epochs_since_best:count"), ("",)),
    **dict.fromkeys(("run:generalisation_gap:last", "run:test_accuracy_ratio:last"), ("",)),
}
"""What rules record of a run, and no rule or dashboard reads over a range."""
_RECORDED_OF_LATEST = {
    "catwalk_model_dataset_statistic": "model:dataset_statistic:last",
    "catwalk_model_dataset_class_share_ratio": "run:dataset_class_share_ratio:last",
}
"""What the exporter shows of the latest run → what rules record of it."""
_BASELINES = {"run:scheduled_duration_seconds:final": 24, "run:scheduled_stage_duration_seconds:final": 12}
"""What rules read of every scheduled run of 30 days → the samples that a run has of it."""
_RARELY = 300
"""Seconds between two evaluations of the rules that record these, and what lists of runs read."""


@dataclass(frozen=True)
class Page:
    """Lines with the same samples: every `step` seconds from `begin` until `end`."""

    lines: str
    begin: int
    end: int
    step: int = SCRAPE

    def between(self, start: int, stop: int) -> Iterator[str]:
        """Yields the samples in this time, by time."""
        late = max(0, start - self.begin)
        first = self.begin + -(-late // self.step) * self.step
        for at in range(first, min(self.end, stop), self.step):
            yield self.lines.replace(_TIME, str(at))


def pages(runs: Sequence[Past], now: float, start: int, stop: int) -> Iterator[Page]:
    """Yields everything that is stored of runs that have samples in this time span."""
    left = Counter(run.template.summary.model for run in runs)
    for run in runs:
        if run.started < stop and run.ended + max(DAY, run.lasts) > start:
            yield from _of_run(run, left[run.template.summary.model], now)
        left[run.template.summary.model] -= 1
    for run in champions(runs).values():
        exposed, week = _exposed(run.template), (int(now) - 8 * DAY, int(now))
        yield Page("".join(exposed.model), *week)
        yield Page("".join(exposed.champion).replace(_id(run.template), run.run_id), *week)
    promoted = f'catwalk_champion_promoted_timestamp_seconds{{run_id="{runs[0].run_id}",model="{STAGED}",{_EXPORTER}}}'
    yield Page(f"{promoted} 1 {_TIME}\n", int(now) - DAYS * DAY, int(now) - 8 * DAY)


def _of_run(run: Past, place: int, now: float) -> Iterator[Page]:
    """Yields what is stored of a run.

    Args:
        run: The run.
        place: 1 for the newest of its model, and so on.
        now: Unix time of the end.
    """
    staged = run.template.summary.model == STAGED
    dense = _dense(staged and place <= CHOSEN, staged and place <= RECENT, run.ended > now - DAY)
    dense |= _remembered() if run.ended > now - 8 * DAY else frozenset()
    begin, end = int(run.started), int(run.ended)
    for lines, seconds in _families(run.template, dense, run.trial):
        text = lines.replace(_id(run.template), run.run_id).replace(_STARTED, str(begin))
        yield Page(text, begin, begin + seconds)
    yield from _listed(run)
    yield Page(_tests(run), end, end + (DAY if staged and place <= RECENT else 1), _RARELY)
    if run.trial:
        return
    for name, samples in _BASELINES.items():
        yield Page(_baseline(run, name), end, end + _RARELY * samples, _RARELY)
    for line in _exposed(run.template).latest:
        recorded = _name(line) == "run:dataset_class_share_ratio:last"
        lasts = int(run.lasts) if recorded or _name(line) in dense else 1
        text = line.replace(_id(run.template), run.run_id)
        yield Page(text, end, end + lasts, _RARELY if recorded else SCRAPE)


def _tests(run: Past) -> str:
    labels = f'run_id="{run.run_id}",model="{run.template.summary.model}"'
    scores = run.template.summary.scores.items()
    return "".join(f'run:test_metric:last{{{labels},metric="{name}"}} {value} {_TIME}\n' for name, value in scores)


def _listed(run: Past) -> Iterator[Page]:
    """Yields what lists of all runs read."""
    model, begin, shown = f'model="{run.template.summary.model}"', int(run.started), 2 * HOUR
    labels = f'run_id="{run.run_id}",{model}' + (',trial="yes"' if run.trial else "")
    yield Page(f"run:started_timestamp_seconds:last{{{labels}}} {begin} {_TIME}\n", begin, begin + shown, _RARELY)
    until = begin + min(shown, int(run.lasts))
    yield Page(f'model:dag:info{{{model},dag_id="nightly"}} 1 {_TIME}\n', begin, until, _RARELY)


@cache
def _dense(chosen: bool, drawn: bool, ruled: bool) -> frozenset[str]:
    """Returns the families that are read over a range, of a run that dashboards select or draw, or that rules of a day
    read.
    """
    queries = all_queries()
    expressions = [query.expr for query in queries if chosen or (drawn and "$recent" in query.expr)]
    return frozenset({*_ranged(expressions), *(_ranged(_rules()) if ruled else ())})


def _ranged(expressions: Iterable[str]) -> set[str]:
    """Returns the families that expressions read over a range."""
    return {name for expr in expressions for name in re.findall(r"([\w:]+)(?:\{[^}]*\})?\[(?!7d)", expr)}


def _rules() -> list[str]:
    groups = [
        group
        for path in (PROJECT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    return [str(rule["expr"]) for group in groups for rule in group["rules"]]


@cache
def _families(template: Template, dense: frozenset[str], trial: bool) -> list[tuple[str, int]]:
    """Returns lines, with placeholders, and for how many seconds they are stored."""
    missing = ("catwalk_decision", "catwalk_gate") if trial else ()
    lasting = {"statsd": HOUR, "exporter": 2 * HOUR, "recorded": DAY, "points": 14 * HOUR}
    found: dict[int, list[str]] = {}
    for source, lines in _lines(template).items():
        for line in lines:
            if not line.startswith(missing):
                found.setdefault(lasting[source] if _name(line) in dense else 1, []).append(line)
    triggers = ('trigger="schedule"', f'trigger="{"sweep" if trial else "schedule"}"')
    return [("".join(lines).replace(*triggers), seconds) for seconds, lines in found.items()]


def _name(line: str) -> str:
    return line.partition("{")[0]


@cache
def _remembered() -> frozenset[str]:
    """Returns the families that dashboards read over the last week."""
    found = (re.findall(r"(\w+)(?:\{[^}]*\})?\[7d\]", query.expr) for query in all_queries())
    families = {name for names in found for name in names}
    return frozenset({*families, "catwalk_model_version_info", "catwalk_model_accuracy_ratio", "catwalk_run_info"})


@cache
def _lines(template: Template) -> dict[str, list[str]]:
    """Returns the lines of a run by what stores them."""
    run = f'run_id="{_id(template)}",model="{template.summary.model}"'
    metrics = [
        f'run:metric:last{{{run},split="{split}",metric="{metric}"}} {value} {_TIME}\n'
        for split, values in _last_metrics(template.summary).items()
        for metric, value in values.items()
    ]
    recorded = [
        f"{name}{{{run},{labels}}} 0.5 {_TIME}\n".replace(",}", "}")
        for name, several in _RECORDED.items()
        for labels in several
    ]
    points = [f"run:points_{name}:count{{{run}}} 9 {_TIME}\n" for name in ("stored", "missing", "exposed")]
    expected = [f"catwalk_run_points_{name}{{{run},{_EXPORTER}}} 9 {_TIME}\n" for name in ("expected", "dropped")]
    return {
        "statsd": statsd_lines(template),
        "exporter": _exposed(template).run,
        "recorded": [*metrics, *recorded],
        "points": [*points, *expected],
    }


def _last_metrics(summary: SummaryRecord) -> dict[str, dict[str, float]]:
    """Split → metric → value, as `run:metric:last` has them."""
    curves = summary.last_metrics or {split: {"loss": 0.5, "accuracy": 0.9} for split in ("train", "validation")}
    return {**curves, "test": summary.scores}


def statsd_lines(template: Template, run_id: str = "") -> list[str]:
    """Returns what statsd_exporter shows of a run in the hour after its points were sent: as lines with a placeholder
    for the time or, with a run id, as the lines of its page.
    """
    found = []
    for point in template.points:
        labels = {**point.labels, "run_id": run_id or _id(template)}
        inner = ",".join(f'{name}="{value}"' for name, value in labels.items())
        where, at = ("", "") if run_id else (f",{_STATSD_EXPORTER}", f" {_TIME}")
        found.append(f"{point.metric.name}{{{inner}{where}}} {point.value}{at}\n")
    return found


@dataclass(frozen=True)
class _Exposed:
    """The exporter's lines about one run, by how long they are there."""

    run: list[str]
    """For two hours."""
    latest: list[str]
    """Until the next run of its model."""
    champion: list[str]
    """While it is in service; only what dashboards read over the last week."""
    model: list[str]
    """All the time; only what dashboards read over the last week."""


@cache
def _exposed(template: Template) -> _Exposed:
    """Sorts the lines of the exporter's own page about a single run."""
    summary, known = template.summary, (template.known,) if template.known else ()
    snapshot = Snapshot((summary,), (template.champion,), models=known)
    page = Exposition(Settings()).render(Facts(snapshot, True, {"scheduler": True}, 1, summary.updated)).decode()
    found = _Exposed([], [], [], [])
    for line in re.findall(r"^catwalk_.+$", page, re.MULTILINE):
        name, remembered = _name(line), _name(line) in _remembered()
        if summary.run_id not in line:
            found.model.extend([_stored(line)] * (remembered and 'model="' in line))
        elif 'role="champion"' in line or name.startswith("catwalk_champion"):
            found.champion.extend([_stored(line)] * remembered)
        else:
            is_latest = 'role="latest"' in line or name.startswith("catwalk_last")
            (found.latest if is_latest else found.run).append(_stored(line))
    found.latest.extend(
        [
            line.replace(_name(line), _RECORDED_OF_LATEST[_name(line)])
            for line in found.latest
            if _name(line) in _RECORDED_OF_LATEST
        ]
    )
    return found


def _stored(line: str) -> str:
    """A line of the page, as Prometheus stores it."""
    series, _, value = line.rpartition(" ")
    name, _, labels = series.rstrip("}").partition("{")
    value = _STARTED if name == "catwalk_run_started_timestamp_seconds" else value
    return f"{name}{{{','.join(filter(None, (labels, _EXPORTER)))}}} {value} {_TIME}\n"


def _baseline(run: Past, name: str) -> str:
    labels = f'run_id="{run.run_id}",model="{run.template.summary.model}"'
    if "stage" not in name:
        return f"{name}{{{labels}}} 60 {_TIME}\n"
    stages = run.template.summary.stages
    return "".join(f'{name}{{{labels},stage="{stage}"}} 60 {_TIME}\n' for stage in stages)


def _id(template: Template) -> str:
    return template.summary.run_id


# --- What doesn't depend on runs --------------------------------------------------------------------------------------
_OF_RUNS = ("duration", "schedule_delay", "first_task_start_delay")
_DAG_COUNTERS = [f"airflow_dagrun_{name}_seconds_{part}" for name in _OF_RUNS for part in ("sum", "count")]
_OTHER_COUNTERS = (
    *("airflow_ti_finish_total", "ml_store_errors_total", "statsd_exporter_events_unmapped_total"),
    *("prometheus_notifications_sent_total", "alertmanager_notifications_total"),
)
SAME_SHAPE = {
    r"(statsd_exporter|prometheus|airflow)_\w+|catwalk_canary_\w+|ml_store_errors_total": "catwalk_canary_sent_total",
    r"job:\w+:max1m|component:airflow_healthy:min1m|operation:\w+:(max1m|rate1m)": "job:up:min1m",
    r"scrape_\w+|up|job:sample_limit_used_ratio:max|alertmanager_\w+|"
    r"job:scraped_timestamp_seconds:last|"
    r"catwalk_airflow_component_healthy": "scrape_duration_seconds",
}
"""Families that are not stored → the family that stands for them, with the same number of series and samples."""
_JOBS = (("statsd_exporter", "webhook"), ("exporter", "email"), ("alertmanager", "slack"), ("prometheus", ""))


def always(now: float) -> Iterator[Page]:
    """Yields what is stored of targets, alerts and counters."""
    begin, end = int(now) - DAYS * DAY, int(now)
    for day in range(begin, end, DAY):
        for area in ("model", "pipeline", "telemetry"):
            labels = f'alertname="{area} alert",alertstate="firing",severity="warning",area="{area}"'
            yield _page(f"ALERTS{{{labels}}} 1", day, day + HOUR)
        for counter in (*_DAG_COUNTERS, *_OTHER_COUNTERS):  # an event every ten minutes, one a day of a DAG's
            labels = f'counter="{counter}",dag_id="nightly",task_id="train",state="failed"'
            yield _page(f"job:counter:growth{{{labels}}} 1", day, day + DAY, DAY if counter in _DAG_COUNTERS else 600)
    yield _page(f"catwalk_canary_sent_total{{{_EXPORTER}}} 5", begin, end)
    for job, integration in _JOBS:
        labels = f'job="{job}",operation="{job}",component="{job}",integration="{integration}"'
        yield _page(f"scrape_duration_seconds{{{labels}}} 0.01", begin, end)
        yield _page(f"job:up:min1m{{{labels}}} 1", begin, end, 60)


def _page(line: str, begin: int, end: int, step: int = SCRAPE) -> Page:
    return Page(f"{line} {_TIME}\n", begin, end, step)


def write(every: Iterable[Page], start: int, stop: int, path: Path) -> int:
    """Writes the samples of a time span; returns their number."""
    samples = 0
    with path.open("w", buffering=1 << 20) as file:
        for page in every:
            lines, width = 0, page.lines.count("\n")
            for text in page.between(start, stop):
                file.write(text)
                lines += width
            samples += lines
        file.write("# EOF\n")
    return samples
