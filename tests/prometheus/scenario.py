"""What the rules' tests are written in: series that go in, and alerts or values that must come out."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stack.settings import tool
from tests.prometheus.rulebook import Rule, dump

EXTERNAL = {
    "runbooks": "http://courier/runbooks",
    "grafana": "http://grafana",
    "exporter": "http://exporter",
}
"""Bases of links, as Prometheus' external labels give them."""
_MODEL = re.compile(r'\bmodel="([^"]+)"')
RUN = "20261123T030000Z-00000001"
OLDER = "20261122T030000Z-00000002"
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_AT_ONCE = 10
"""Scenarios that one promtool takes: to start it costs as much as a short scenario."""


@dataclass(frozen=True)
class Alert:
    """An alert that must fire, exactly as given."""

    labels: dict[str, str]
    summary: str
    description: str
    dashboard: str
    """Path below Grafana's ``/d/``."""


@dataclass(frozen=True)
class Expectation:
    """The expected state at a time; `name` is an alert's, or an expression over a record."""

    at: str
    name: str
    alerts: tuple[Alert, ...] | None = None
    samples: Mapping[str, float] | None = None
    """Labels as ``{a="b"}`` → value, for a record."""

    @property
    def tested(self) -> str:
        """Name of the alert or record that it checks."""
        return self.name.partition("{")[0]


@dataclass(frozen=True)
class Scenario:
    """One story: series that go in, and what must come out."""

    about: str
    series: Mapping[str, str]
    expect: tuple[Expectation, ...]
    interval: str = "10s"

    @property
    def tested(self) -> set[str]:
        """Names of the alerts and records that it checks."""
        return {expected.tested for expected in self.expect}

    @property
    def of_alerts(self) -> Scenario:
        """The same with the checks of alerts alone."""
        return replace(self, expect=tuple(check for check in self.expect if check.alerts is not None))

    @property
    def last(self) -> str:
        """Time of the last check."""
        return max((expected.at for expected in self.expect), key=_seconds)

    @property
    def evaluations(self) -> float:
        """How often promtool evaluates the rules."""
        return _seconds(self.last) / _seconds(self.interval)


def _seconds(duration: str) -> int:
    """That of ``1h50m``."""
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([dhms])", duration))


def scenario(about: str, series: Mapping[str, str], *expect: Expectation, interval: str = "10s") -> Scenario:
    """A scenario and its expectations. The exporter knows each model that a series names."""
    return Scenario(about, {**_models_of(series), **series}, expect, interval)


def _models_of(told: Mapping[str, str]) -> dict[str, str]:
    if any(name.startswith("catwalk_model_info") for name in told):
        return {}
    models = sorted({found[1] for name in told if (found := _MODEL.search(name))})
    return {series("catwalk_model_info", model=model, retired="false"): constant(1) for model in models}


def fires(name: str, at: str, *firing: Alert) -> Expectation:
    """Exactly these alerts of this name fire at that time."""
    return Expectation(at, name, alerts=firing)


def silent(name: str, at: str) -> Expectation:
    """No alert of this name fires at that time."""
    return Expectation(at, name, alerts=())


def has(record: str, at: str, samples: Mapping[str, float]) -> Expectation:
    """The record has exactly these series at that time."""
    return Expectation(at, record, samples=samples)


def series(name: str, /, **labels: str) -> str:
    """A series as Prometheus scrapes it: with the job that serves it, and its instance."""
    by_statsd_exporter = name.startswith(("ml_", "airflow_", "statsd_", "catwalk_canary_received"))
    by_service = name.startswith(("catwalk_service_", "catwalk_reference_"))
    elsewhere = "courier" if name.startswith("catwalk_retraining_") else "exporter"
    job = "statsd_exporter" if by_statsd_exporter else "service" if by_service else elsewhere
    every = {"job": job, "instance": f"{job}:1", **{label.rstrip("_"): value for label, value in labels.items()}}
    inner = ",".join(f'{label}="{value}"' for label, value in every.items())
    return f"{name}{{{inner}}}"


def constant(value: float, samples: int = 1_000) -> str:
    """The same value at every scrape."""
    return f"{value}x{samples}"


def a_run(
    run_id: str = RUN, started: int = 0, trigger: str = "schedule", model: str = "mlp", samples: int = 1_000
) -> dict[str, str]:
    """What the exporter shows for every run."""
    labels = {"run_id": run_id, "model": model}
    origin = {"dag_id": "fashion_training", "trigger": trigger}
    return {
        series("catwalk_run_info", **labels, **origin, dataset_sha256=""): f"1x{min(samples, 3)}",
        series("catwalk_run_info", **labels, **origin, dataset_sha256="d"): f"1x{samples}",
        series("catwalk_run_started_timestamp_seconds", **labels): constant(started, samples),
    }


def write(folder: Path, chosen: Iterable[Rule], scenarios: Iterable[Scenario]) -> list[Path]:
    """promtool's files for these rules and scenarios; returns those to run, one for each interval."""
    (folder / "rules.yml").write_text(dump(chosen))
    by_interval: dict[str, list[Scenario]] = {}
    for each in scenarios:
        by_interval.setdefault(each.interval, []).append(each)
    paths = []
    for interval, group in by_interval.items():
        document = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": interval,
            "fuzzy_compare": True,
            "tests": [_group(each) for each in group],
        }
        paths.append(folder / f"every-{interval}.yml")
        paths[-1].write_text(json.dumps(document, indent=1))  # YAML too, and written ten times as fast
    return paths


def promtool(paths: Iterable[Path]) -> str:
    """What promtool complains about; empty if every test has passed."""
    command = [str(tool("promtool")), "test", "rules", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"promtool ended with {done.returncode}"


def complaints(trials: Iterable[tuple[Iterable[Rule], Scenario]]) -> str:
    """What promtool complains about; empty if every scenario passes with the rules that it comes with."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = [
            path
            for number, (rules, each) in enumerate(trials)
            for path in write(Path(tempfile.mkdtemp(prefix=f"{number}-", dir=folder)), rules, [each])
        ]
        count = -(-len(paths) // _AT_ONCE)
        return "".join(pool.map(promtool, (paths[first::count] for first in range(count))))


def _group(each: Scenario) -> dict[str, Any]:
    alerts = [expected for expected in each.expect if expected.alerts is not None]
    values = [expected for expected in each.expect if expected.samples is not None]
    return {
        "name": each.about,
        "interval": each.interval,
        "external_labels": EXTERNAL,
        "input_series": [{"series": name, "values": value} for name, value in each.series.items()],
        "alert_rule_test": [
            {
                "eval_time": expected.at,
                "alertname": expected.name,
                "exp_alerts": [_alert(expected.name, alert) for alert in expected.alerts or ()],
            }
            for expected in alerts
        ],
        "promql_expr_test": [
            {
                "expr": f"round({expected.name}, 0.000001)",  # promtool allows for an error of one bit only
                "eval_time": expected.at,
                "exp_samples": [
                    {"labels": labels, "value": value} for labels, value in (expected.samples or {}).items()
                ],
            }
            for expected in values
        ],
    }


def _alert(name: str, alert: Alert) -> dict[str, Any]:
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{EXTERNAL['runbooks']}/{name}",
        "dashboard": f"{EXTERNAL['grafana']}/d/{alert.dashboard}",
    }
    return {"exp_labels": alert.labels, "exp_annotations": annotations}
