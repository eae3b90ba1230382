"""What a PredictionMonitor costs the service that it watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

import catwalk
from catwalk.service import pictures, reference
from tests.bench.measure import Measurement

FEATURES = 10
PREDICTIONS = 5_000
ROUNDS = 20
_RUN: Any = SimpleNamespace(record=SimpleNamespace(model="bench"), run_id="20261123T030000Z-00000001")


def measure(repetitions: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures predictions one by one, and pictures."""
    say("predictions that are watched")
    ones = [prediction_microseconds(PREDICTIONS) for _ in range(repetitions)]
    return [
        Measurement(
            f"a prediction with {FEATURES} features, watched, its chance of being right included",
            ones,
            " µs",
            "≤ 25 µs",
        ),
        Measurement("features of a picture of 28 × 28, in 256 at once", [_picture() for _ in ones], " µs", "-"),
    ]


def prediction_microseconds(predictions: int) -> float:
    """Returns the processor time of one prediction with nine numbers, a category and a probability. It takes the
    fastest of several rounds, because other programs compute at the same time.
    """
    monitor, row = _monitor()
    return min(_round(monitor, row, max(1, predictions // ROUNDS)) for _ in range(ROUNDS))


def _round(monitor: catwalk.PredictionMonitor, row: dict[str, Any], predictions: int) -> float:
    started = time.thread_time()
    for _ in range(predictions):
        with monitor.prediction(row) as seen:
            seen.output = 0.3
    return 1e6 * (time.thread_time() - started) / predictions


def _monitor() -> tuple[catwalk.PredictionMonitor, dict[str, Any]]:
    random = np.random.default_rng(0)
    columns: dict[str, Any] = {f"c{number}": random.normal(size=5_000) for number in range(FEATURES - 1)}
    columns["country"] = random.choice(["de", "fr", "it"], 5_000)
    scores = random.random(5_000)
    made = reference.make(_RUN, catwalk.Binary(), columns, scores, labels=random.random(5_000) < scores)
    row = {name: values[0].item() for name, values in columns.items()}
    return catwalk.PredictionMonitor("bench", reference=made, registry=CollectorRegistry()), row


def _picture() -> float:
    images = np.random.default_rng(0).integers(0, 256, (256, 28, 28)).astype(np.uint8)
    started = time.thread_time()
    pictures.features(images)
    return 1e6 * (time.thread_time() - started) / len(images)
