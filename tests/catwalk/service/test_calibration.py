"""What accuracy is estimated by: a temperature, and what a monitor makes of it in service."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

import catwalk
from catwalk.codec import from_json, to_json
from catwalk.ledger.records.reference import Calibration, ReferenceRecord
from catwalk.service import calibration
from catwalk.service.baseline.making import made as made_of_days
from catwalk.service.baseline.recorded import Recorded
from tests.catwalk.service.conftest import RUN, made, scrape

VERSION = RUN.run_id
CLASSES = ["a", "b", "c", "d"]
PROBLEM = catwalk.Multiclass(CLASSES)


def drawn(rows: int, seed: int = 0, too_sure: float = 3.0, shares: Any = None) -> tuple[Any, Any]:
    """Labels, and logits that are too large by a factor."""
    random = np.random.default_rng(seed)
    labels = random.choice(len(CLASSES), rows, p=shares)
    seen = np.eye(len(CLASSES))[labels] * 2 + random.normal(size=(rows, len(CLASSES)))
    return labels, too_sure * 2 * seen  # of normal noise with these means, 2 × seen are the logits of the truth


def of_binary(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Labels, and probabilities that are too near to a half."""
    random = np.random.default_rng(seed)
    chance = random.beta(0.5, 0.5, rows)
    odds = (chance / (1 - chance)) ** 0.5
    return random.random(rows) < chance, odds / (1 + odds)


def fitted(problem: Any, labels: Any, scores: Any) -> Calibration:
    found = calibration.fitted(problem, labels, scores)
    assert found is not None
    return found


def test_the_temperature_is_that_of_the_least_cross_entropy() -> None:
    labels, logits = drawn(5_000)
    found = fitted(PROBLEM, labels, logits)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(loss, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-6}).x
    assert found.temperature == pytest.approx(best, rel=1e-4) == pytest.approx(3, rel=0.1)
    assert found.accuracy == (logits.argmax(1) == labels).mean()
    assert found.confidence == pytest.approx(found.accuracy, abs=0.01)
    assert found.error < 0.02
    assert found.examples == 5_000


def test_probabilities_and_logits_of_one_model_give_the_same() -> None:
    labels, logits = drawn(2_000)
    both = fitted(PROBLEM, labels, logits), fitted(PROBLEM, labels, softmax(logits, axis=1))
    for name in ("temperature", "accuracy", "confidence", "error"):
        assert getattr(both[0], name) == pytest.approx(getattr(both[1], name), rel=1e-3)


def test_of_yes_or_no_it_is_the_odds_that_are_scaled_and_the_model_s_own_threshold_that_decides() -> None:
    labels, scores = of_binary(20_000)
    found = fitted(catwalk.Binary(), labels, scores)
    assert found.temperature == pytest.approx(0.5, rel=0.05)
    assert found.accuracy == ((scores >= 0.5) == labels).mean()
    assert found.confidence == pytest.approx(found.accuracy, abs=0.01)
    strict = fitted(catwalk.Binary(threshold=0.8), labels, scores)
    assert strict.accuracy == ((scores >= 0.8) == labels).mean() < found.accuracy
    assert strict.confidence == pytest.approx(strict.accuracy, abs=0.01)


@pytest.mark.parametrize(
    ("problem", "labels", "scores"),
    [
        (catwalk.Regression(), [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
        (PROBLEM, [0, 1, 2], [0, 1, 3]),
        (catwalk.Binary(metric="auc"), [0, 1, 1], [0.1, 0.4, 0.7]),
    ],
)
def test_there_is_none_where_an_answer_has_no_chance_of_being_right(problem: Any, labels: Any, scores: Any) -> None:
    assert calibration.fitted(problem, labels, scores) is None


def test_a_model_that_is_never_wrong_has_a_finite_temperature() -> None:
    labels, _ = drawn(100)
    found = fitted(PROBLEM, labels, np.eye(4)[labels])
    assert (found.accuracy, found.fault) == (1, "")
    assert 0.04 < found.temperature < 0.06


class Service:
    """A monitor of a reference with labels, and what it has counted."""

    def __init__(self, problem: Any, labels: Any, scores: Any) -> None:
        self.registry = CollectorRegistry()
        self.reference = made(scores=scores, problem=problem, labels=labels)
        self.monitor = catwalk.PredictionMonitor("churn", reference=self.reference, registry=self.registry)

    def answers(self, scores: Any) -> None:
        with self.monitor.predictions() as seen:
            seen.output = scores

    def told(self, name: str) -> float:
        return scrape(self.registry)[f"catwalk_{name}", VERSION]

    @property
    def counted(self) -> tuple[float, float, float]:
        ends = ("", "_right", "_variance")
        predictions, right, variance = (self.told(f"service_estimated{end}_total") for end in ends)
        return predictions, right, variance

    @property
    def estimate(self) -> float:
        """As Prometheus' rules have it."""
        predictions, right, _ = self.counted
        known = self.told("reference_accuracy_ratio") - self.told("reference_confidence_ratio")
        return known + right / predictions


def test_in_service_logits_and_probabilities_one_by_one_and_together_count_the_same_chances() -> None:
    service = Service(PROBLEM, *drawn(2_000))
    assert service.counted == (0, 0, 0)
    assert service.reference.calibration
    _, live = drawn(50, seed=1)
    chances = softmax(live / service.reference.calibration.temperature, axis=1).max(1)
    for scores in (live, softmax(live, axis=1)):
        before = service.counted
        service.answers(scores)
        for one in scores:
            with service.monitor.prediction() as seen:
                seen.output = one
        gained = np.subtract(service.counted, before)
        assert gained == pytest.approx((100, 2 * chances.sum(), 2 * (chances * (1 - chances)).sum()), rel=1e-4)


def test_of_yes_or_no_the_chance_is_that_of_what_is_said() -> None:
    service = Service(catwalk.Binary(threshold=0.8), *of_binary(20_000))
    assert service.reference.calibration
    power = 1 / service.reference.calibration.temperature
    service.answers([0.7, 0.9])
    odds = (0.7 / 0.3) ** power, (0.9 / 0.1) ** power
    assert service.counted[:2] == pytest.approx((2, 1 / (1 + odds[0]) + odds[1] / (1 + odds[1])))


@pytest.mark.parametrize(
    "answer",
    [
        "a",
        2,
        None,
        [],
        [1.0],
        [0.1, 0.9],
        [np.nan] * 4,
        [np.inf, 0, 0, 0],
        [1, None, 2, 3],
        ["x"] * 4,
        {"a": 1},
        object(),
    ],
)
def test_an_answer_that_tells_no_chance_counts_for_nothing(answer: Any) -> None:
    service = Service(PROBLEM, *drawn(500))
    for _ in range(3):
        with service.monitor.prediction() as seen:
            seen.output = answer
    assert service.counted == (0, 0, 0)
    service.answers([[1, 2, 3, 4.5]])
    assert service.counted[0] == 1


@pytest.mark.parametrize("answer", [-0.1, 1.2, np.nan, "yes", None, [0.2, 0.8]])
def test_a_score_that_is_no_probability_counts_for_nothing(answer: Any) -> None:
    service = Service(catwalk.Binary(), *of_binary(500))
    with service.monitor.prediction() as seen:
        seen.output = answer
    assert service.counted == (0, 0, 0)


def test_the_estimate_holds_for_another_mix_of_classes_and_not_where_like_inputs_have_another_truth() -> None:
    mixed, turned = Service(PROBLEM, *drawn(5_000)), Service(PROBLEM, *drawn(5_000))
    labels, logits = drawn(5_000, seed=1, shares=[0.7, 0.1, 0.1, 0.1])
    mixed.answers(logits)
    assert mixed.estimate == pytest.approx((logits.argmax(1) == labels).mean(), abs=0.016)
    turned.answers(logits[:, [1, 0, 2, 3]])  # as sure as before, of another class
    assert turned.estimate > (logits[:, [1, 0, 2, 3]].argmax(1) == labels).mean() + 0.3


def test_a_reference_without_labels_reads_and_tells_no_estimate() -> None:
    labels, logits = drawn(500)
    before = json.loads(to_json(made(scores=logits, problem=PROBLEM)))
    del before["calibration"]
    old = from_json(ReferenceRecord, json.dumps(before).encode())
    assert (old.calibration, old.fault) == (None, "")
    registry = CollectorRegistry()
    monitor = catwalk.PredictionMonitor("churn", reference=old, registry=registry)
    with monitor.predictions() as seen:
        seen.output = logits
    assert [name for name, *_ in scrape(registry) if "estimated" in name or "reference_accuracy" in name] == []
    new = made(scores=logits, problem=PROBLEM, labels=labels)
    assert from_json(ReferenceRecord, to_json(new)) == new


@pytest.mark.parametrize(
    "change", [{"temperature": 0.0}, {"temperature": np.nan}, {"accuracy": 1.5}, {"error": np.nan}, {"examples": 0}]
)
def test_a_damaged_one_is_refused(change: dict[str, Any]) -> None:
    record = made(scores=drawn(500)[1], problem=PROBLEM, labels=drawn(500)[0])
    assert record.calibration and not record.fault
    assert replace(record, calibration=replace(record.calibration, **change)).fault.startswith("its calibration has")


def test_a_baseline_of_the_service_s_own_days_keeps_it() -> None:
    record = made(scores=drawn(500)[1], problem=PROBLEM, labels=drawn(500)[0])
    days = [np.full((3, len(feature.bins)), 100.0) for feature in record.features]
    found = made_of_days(record, Recorded(["2026-11-01", "2026-11-02", "2026-11-03"], days, []), 0.03)
    assert found.origin == "service" and found.calibration == record.calibration
