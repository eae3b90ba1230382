"""Every alert on models fires for a bad model of each kind of problem: none is silent because a model has no accuracy.

Runs are logged into a real ledger; the series are what the exporter, and the points of the runs, make of it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.ledger.models.watched import retire
from catwalk.ledger.runs import Ledger
from catwalk.problems.interface import Problem
from catwalk.replay.points import run_points
from catwalk.storage.opening import open_store
from catwalk_exporter.exposition import Facts, Settings, families
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from tests.prometheus.book import complaint
from tests.prometheus.rulebook import alerts, names
from tests.prometheus.scenario import Scenario, has

pytestmark = pytest.mark.integration

EXAMPLES = 3_000
KEYS = np.arange(EXAMPLES)
DAY = 86_400
SAMPLES = 100
MODEL_ALERTS = [rule for rule in alerts() if rule.file == "model.alerts.yml"]
OF_THE_STAGES = {"ModelClassCollapsed", "ModelCalibrationPoor"}
"""Limits that only a Trainable's gate has. A run that logs has floors of any metric, which ModelFloorMissed is for."""
OF_TRAINING = {"ModelTrainingDiverged", "ModelOverfitting", "ModelPlateaued"}
"""What looks at the curves of the last day's newest run."""
NOISE = np.random.default_rng(7).standard_normal(EXAMPLES)


@dataclass(frozen=True)
class Kind:
    """A model of a kind of problem."""

    name: str
    problem: Problem
    labels: Any
    answers: Callable[[float], Any]
    """Its answers to the examples; a larger noise makes them worse."""
    missed: dict[str, float]
    """Floors and caps that no model keeps."""
    silent: frozenset[str] = frozenset()
    """Alerts on what such a model has not."""


def probabilities(noise: float) -> Any:
    """Probabilities of three classes."""
    logits = 4.0 * np.eye(3)[KEYS % 3] + noise * np.random.default_rng(3).standard_normal((EXAMPLES, 3))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


KINDS = [
    Kind(
        "multiclass", catwalk.Multiclass(["猫", "a:b|c", "plain"]), KEYS % 3, probabilities,
        {"accuracy": 1.1, "worst_recall": 1.1, "calibration_error": -1.0}, frozenset({"ModelHeadlineRegressed"}),
    ),
    Kind(
        "binary", catwalk.Binary(), (KEYS % 3 == 0).astype(int),
        lambda noise: np.clip(0.3 + 0.4 * (KEYS % 3 == 0) + noise * NOISE / 20, 0.01, 0.99),
        {"auc": 1.1, "log_loss": -1.0}, frozenset({"ModelAccuracyBelowFloor"}),
    ),
    Kind(
        "regression", catwalk.Regression(unit="EUR"), KEYS / 10.0,
        lambda noise: KEYS / 10.0 + noise * NOISE, {"mae": -1.0, "r2": 1.1}, frozenset({"ModelAccuracyBelowFloor"}),
    ),
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger, to which a night's cron job logs."""
    for name in ("CATWALK_RUN_KEY", "CATWALK_STATSD", "AIRFLOW_CTX_DAG_ID", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    return Ledger(open_store())


def train(kind: Kind, noise: float, curve: Iterable[tuple[float, float]], data: int, **options: Any) -> str:
    """One run; its curve has the losses of training and validation."""
    with catwalk.run(kind.name, kind.problem, **options) as run:
        run.data(as_of=f"2026-11-{20 + data}", sha256=f"{data}" * 64, statistics={"rows": 1_000.0 * data})
        for epoch, (training, validation) in enumerate(curve, 1):
            run.epoch(epoch, train={"loss": training}, validation={"loss": validation, "made up": 0.5})
        run.model(f"weights {noise}".encode())
        run.test(kind.labels, kind.answers(noise), keys=KEYS)
    return run.run_id


def told(ledger: Ledger, champion_age: float) -> dict[str, str]:
    """Series as Prometheus has them of a ledger, with times counted from the beginning of the story."""
    now, snapshots = time.time(), list[Snapshot]()
    LedgerReader(ledger.store).read(now, snapshots.append)
    snapshot = snapshots[-1]
    old = tuple(replace(champion, promoted=now - champion_age) for champion in snapshot.champions)
    facts = Facts(replace(snapshot, champions=old), True, {}, None, now)
    found = {
        _series(sample.name, sample.labels, "exporter"): sample.value - now * family.name.endswith("_timestamp_seconds")
        for family in families(facts, Settings())
        for sample in family.samples
    }
    for summary in snapshot.summaries:
        for point in run_points(ledger.run(summary.run_id)):
            found[_series(point.metric.name, point.labels, "statsd_exporter")] = point.value
    return {name: _constant(value) for name, value in found.items()}


def _series(name: str, labels: dict[str, str], job: str) -> str:
    every = {**labels, "job": job, "instance": f"{job}:1"}
    return (
        name
        + "{"
        + ",".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in every.items())
        + "}"
    )


def _constant(value: float) -> str:
    return f"{value!r}x{SAMPLES}" if math.isfinite(value) else " ".join([f"{value}".title()] * SAMPLES)


def firing(kind: Kind, series: dict[str, str], *wanted: tuple[str, str]) -> str:
    """What is wrong where exactly these alerts must fire of the model, after more than an hour."""
    samples = {f'{{alertname="{name}", model="{kind.name}", severity="{severity}"}}': 1.0 for name, severity in wanted}
    counted = has('group by (alertname, model, severity) (ALERTS{alertstate="firing"})', "80m", samples)
    return complaint([Scenario(kind.name, series, (counted,), "1m")], beside=names(MODEL_ALERTS))


def of(kind: Kind, *without: str) -> list[tuple[str, str]]:
    """Every alert on models that this kind can have, except those that need another story."""
    left_out = {*kind.silent, *OF_THE_STAGES, *without}
    return sorted({(rule.name, rule.severity) for rule in MODEL_ALERTS if rule.name not in left_out})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_sick_model_of_each_kind_fires_every_alert_that_it_can(kind: Kind, ledger: Ledger) -> None:
    train(kind, 1.0, [(0.5, 0.6)], data=1)
    sick = [(0.5, 0.6), (0.1, 0.5), *[(0.2, 1.1)] * 7, (2.0, 9.0)]
    for _ in range(3):
        train(kind, 8.0, sick, data=2, thresholds=kind.missed)
    series = told(ledger, champion_age=40 * DAY)
    assert not firing(kind, series, *of(kind, "ModelLossNotFinite", "ChampionMissing"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_model_of_each_kind_whose_loss_is_no_number_and_which_never_shipped(kind: Kind, ledger: Ledger) -> None:
    train(kind, 1.0, [(0.5, 0.6), (math.nan, 0.5)], data=1, thresholds=kind.missed)
    wanted = [("ModelLossNotFinite", "warning"), ("ChampionMissing", "critical"), ("ModelFloorMissed", "warning")]
    wanted += [] if kind.silent & {"ModelAccuracyBelowFloor"} else [("ModelAccuracyBelowFloor", "warning")]
    assert not firing(kind, told(ledger, 0), *wanted)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_healthy_model_of_each_kind_fires_nothing(kind: Kind, ledger: Ledger) -> None:
    for _ in range(2):
        train(kind, 1.0, [(0.5, 0.6), (0.4, 0.5)], data=1)
    assert not firing(kind, told(ledger, champion_age=DAY))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_of_a_retired_model_only_its_last_training_is_told_and_a_day_later_nothing(kind: Kind, ledger: Ledger) -> None:
    train(kind, 1.0, [(0.5, 0.6)], data=1)
    sick = [(0.5, 0.6), (0.1, 0.5), *[(0.2, 1.1)] * 7, (2.0, 9.0)]
    for _ in range(3):
        train(kind, 8.0, sick, data=2, thresholds=kind.missed)
    assert "ChampionStale" in dict(of(kind))
    retire(ledger.store, kind.name, "ada")
    series = told(ledger, champion_age=40 * DAY)
    assert not firing(kind, series, *(alert for alert in of(kind) if alert[0] in OF_TRAINING))
    later = {name: values for name, values in series.items() if not name.startswith(("ml_", "catwalk_run_"))}
    assert later and not firing(kind, later)


def test_between_them_the_kinds_have_every_alert_on_models() -> None:
    assert {name for kind in KINDS for name, _ in of(kind)} | OF_THE_STAGES == set(names(MODEL_ALERTS))
