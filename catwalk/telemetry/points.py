"""From the ledger's records to points: what a run sends by StatsD, and what Prometheus must hold of it in the end."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from catwalk.ledger.records import STAGES, AttemptRecord, EpochRecord, EvaluationRecord, RunRecord
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from ml.fashion_mnist.config import CLASSES

if TYPE_CHECKING:
    from catwalk.ledger.runs import Run

STAGE_SERIES = 3
"""Of one stage."""
CURVE_SERIES = 9
"""Of one epoch, the classes' apart."""
EPOCH_SERIES = CURVE_SERIES + len(CLASSES)
"""Of one epoch."""
FIXED_SERIES = 3 + 3 * len(CLASSES) + len(CLASSES) ** 2 + STAGE_SERIES * len(STAGES)
"""Of a run besides its epochs: of the test, and of all stages."""
MAX_SERIES = 4_000
"""No run makes more series than this; :data:`ml.fashion_mnist.config.MAX_EPOCHS` keeps to it, as a test checks."""


class Point(NamedTuple):
    """One value of one series."""

    metric: Metric
    labels: dict[str, str]
    value: float
    time: float
    """When it happened, in seconds since the Unix epoch."""


def series_budget(epochs: int) -> int:
    """Series that a run makes at most: 19 an epoch, 3 + 3·10 + 10·10 of the test, 3 a stage."""
    return EPOCH_SERIES * epochs + FIXED_SERIES


class Kept(NamedTuple):
    """Epochs whose points go to Prometheus."""

    curves: frozenset[int]
    classes: frozenset[int]
    """Of these, those with each class's accuracy too."""


@lru_cache(maxsize=256)
def kept(epochs: int, budget: int | None) -> Kept:
    """Which epochs of a run stay below its budget of series: the last one, the first one, and evenly between.

    Test and stages come first, then the epochs' curves, then each class's.

    Args:
        epochs: that the run is to train.
        budget: series of the whole run; None: as many as there are.
    """
    if budget is None:
        return Kept(_spaced(epochs, epochs), _spaced(epochs, epochs))
    room = max(0, budget - FIXED_SERIES)
    curves = _spaced(epochs, room // CURVE_SERIES)
    classes = (room - CURVE_SERIES * epochs) // len(CLASSES) if len(curves) == epochs else 0
    return Kept(curves, _spaced(epochs, classes))


def _spaced(epochs: int, room: int) -> frozenset[int]:
    """As many epochs as there is room for."""
    if room >= epochs:
        return frozenset(range(1, epochs + 1))
    if room < 2:
        return frozenset([epochs][:room])
    return frozenset(1 + place * (epochs - 1) // (room - 1) for place in range(room))


def series_left_out(epochs: int, budget: int | None) -> int:
    """Series that a run would make without a budget, and does not."""
    if budget is not None and budget < FIXED_SERIES:
        return series_budget(epochs)
    found = kept(epochs, budget)
    return EPOCH_SERIES * epochs - CURVE_SERIES * len(found.curves) - len(CLASSES) * len(found.classes)


def _is_silent(run: RunRecord) -> bool:
    """Its budget has no room for anything."""
    return run.series_budget is not None and run.series_budget < FIXED_SERIES


def epoch_points(run: RunRecord, record: EpochRecord) -> list[Point]:
    """What one epoch of training sends; nothing for one that the run's budget leaves out (:func:`kept`)."""
    epochs = run.config.training.epochs
    # A loss that is no number ends the training, so that its epoch takes the place of the last one.
    place = epochs if _is_no_number(record.train_loss, record.validation_loss) else record.epoch
    found = kept(max(epochs, place), run.series_budget)
    if place not in found.curves:
        return []
    labels = {**_run_labels(run), "epoch": str(record.epoch)}
    train, validation = {**labels, "split": "train"}, {**labels, "split": "validation"}
    values: list[tuple[Metric, dict[str, str], float]] = [
        (catalogue.EPOCH_LOSS, train, record.train_loss),
        (catalogue.EPOCH_LOSS, validation, record.validation_loss),
        (catalogue.EPOCH_ACCURACY, train, record.train_accuracy),
        (catalogue.EPOCH_ACCURACY, validation, record.validation_accuracy),
        (catalogue.EPOCH_DURATION, labels, record.duration_seconds),
        (catalogue.EPOCH_LEARNING_RATE, labels, record.learning_rate),
        (catalogue.EPOCH_GRADIENT_NORM, labels, record.gradient_norm),
        (catalogue.EPOCH_EXAMPLES_PER_SECOND, labels, record.examples_per_second),
        (catalogue.EPOCH_INDEX, labels, record.epoch),
    ]
    by_class = zip(CLASSES, record.class_accuracy, strict=True)
    for name, accuracy in by_class if place in found.classes else ():
        values.append((catalogue.EPOCH_CLASS_ACCURACY, {**labels, "class": name}, accuracy))
    return [Point(*value, record.finished) for value in values]


def _is_no_number(*losses: float) -> bool:
    return any(isinstance(loss, float) and not math.isfinite(loss) for loss in losses)


def test_points(run: RunRecord, record: EvaluationRecord) -> list[Point]:
    """What the test of a model sends."""
    if _is_silent(run):
        return []
    labels = _run_labels(run)
    values: list[tuple[Metric, dict[str, str], float]] = [
        (catalogue.TEST_ACCURACY, labels, record.accuracy),
        (catalogue.TEST_LOSS, labels, record.loss),
        (catalogue.TEST_CALIBRATION_ERROR, labels, record.calibration_error),
    ]
    by_class = zip(
        CLASSES, record.class_accuracy, record.class_precision, record.class_f1, record.confusion, strict=True
    )
    for name, accuracy, precision, f1, row in by_class:
        of_class = {**labels, "class": name}
        values.append((catalogue.TEST_CLASS_ACCURACY, of_class, accuracy))
        values.append((catalogue.TEST_CLASS_PRECISION, of_class, precision))
        values.append((catalogue.TEST_CLASS_F1, of_class, f1))
        for predicted, examples in zip(CLASSES, row, strict=True):
            pair = {**labels, "true_class": name, "predicted_class": predicted}
            values.append((catalogue.TEST_CONFUSION, pair, examples))
    return [Point(*value, record.finished) for value in values]


def stage_points(run: RunRecord, record: AttemptRecord) -> list[Point]:
    """What a stage sends when an attempt has ended; nothing for one that runs or was killed."""
    if record.ended is None or _is_silent(run):
        return []
    labels = {**_run_labels(run), "stage": record.stage}
    values = [
        (catalogue.STAGE_DURATION, record.duration_seconds),
        (catalogue.STAGE_PEAK_MEMORY, record.peak_memory_bytes),
        (catalogue.STAGE_CPU, record.cpu_seconds),
    ]
    return [Point(metric, labels, value, record.ended) for metric, value in values if value is not None]


def run_points(run: Run) -> list[Point]:
    """Every point of a run's ledger within its budget: the same series that its stages have sent, or should have.

    Raises:
        StoreError: the ledger could not be read.
    """
    record, training, evaluation = run.record, run.training(), run.evaluation()
    points = [point for epoch in (training.epochs if training else []) for point in epoch_points(record, epoch)]
    if evaluation:
        points += test_points(record, evaluation)
    for attempt in _last_ended(run.attempts()).values():
        points += stage_points(record, attempt)
    return points


def _last_ended(attempts: list[AttemptRecord]) -> dict[str, AttemptRecord]:
    """Stage → the attempt that speaks for it. A superseded one never does: its successor has its place."""
    ended = [record for record in attempts if record.ended is not None and record.outcome != "superseded"]
    return {record.stage: record for record in sorted(ended, key=lambda record: record.number)}


def _run_labels(run: RunRecord) -> dict[str, str]:
    return {"run_id": run.run_id, "model": run.model}
