"""Points from the ledger's records: what an epoch, a test and a stage send, and what a budget leaves out."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple

from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import STAGES, RunRecord
from catwalk.ledger.records.training import MAX_EPOCHS, EpochRecord
from catwalk.ledger.records.values import class_names
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.wire.labels import label_value

STAGE_SERIES = 5
"""The series of one stage; two fewer without a GPU."""
CURVE_SERIES = 9
"""The series of one epoch, without those of classes."""
OTHERS = 16
"""The series of an epoch for which room is reserved if metrics may have any names: eight metrics of two splits."""
TEST_RATIO = 4
"""How many times as much room the test has: eight metrics, and the headline of 56 values of slices."""
LABEL_BYTES = 300
"""Series whose metric or slice has a longer name stay in the ledger only: a StatsD line must hold all labels."""
_NAMED_BY_USERS = ("split", "metric", "slice", "slice_value")
MAX_SERIES = 4_000
"""The most series of a run, however many classes it has and epochs it trains."""
_WHATEVER_CLASSES = 3 + STAGE_SERIES * len(STAGES)
"""The series of a run's test and stages, without those of classes."""
_ROOM_OF_CLASSES = MAX_SERIES - _WHATEVER_CLASSES - CURVE_SERIES * MAX_EPOCHS
"""The room for the test's results by class, so that the curves of :data:`MAX_EPOCHS` still fit."""


_OF_OTHER_SPLITS = {"loss": catalogue.EPOCH_LOSS, "accuracy": catalogue.EPOCH_ACCURACY}
"""The family of each metric that has one; in training and validation, these metrics have separate fields."""
_Value = tuple[Metric, dict[str, str], float | None]
"""The metric, labels and value of a series; None if not measured."""


class Point(NamedTuple):
    """One value of one series."""

    metric: Metric
    labels: dict[str, str]
    value: float
    time: float
    """When it was measured, in seconds since the Unix epoch."""


def epoch_series(classes: int, others: int = 0) -> int:
    """Returns the number of series of one epoch."""
    return CURVE_SERIES + others + classes


def fixed_series(classes: int, others: int = 0) -> int:
    """Returns the number of series of a run besides its epochs, for the shown part of the test and for all stages.

    Args:
        classes: The number of its classes.
        others: As in :attr:`catwalk.ledger.records.run.RunRecord.metric_series`.
    """
    whatever_classes = _WHATEVER_CLASSES + TEST_RATIO * others
    return whatever_classes + 3 * classes * shows_test_classes(classes) + classes**2 * shows_confusion(classes)


def shows_test_classes(classes: int) -> bool:
    """Returns whether the test's accuracy, precision and F1 by class go to Prometheus: for up to 724 classes."""
    return 3 * classes <= _ROOM_OF_CLASSES


def shows_confusion(classes: int) -> bool:
    """Returns whether the confusion matrix goes to Prometheus: for up to 45 classes."""
    return classes**2 + 3 * classes <= _ROOM_OF_CLASSES


def series_budget(epochs: int, classes: int, others: int = 0) -> int:
    """Returns the most series of a run: with `n` classes, 9 + n per epoch, 3 + 3·n + n·n for the test, and 5 per stage.

    Args:
        epochs: The planned epochs; 0 if unknown.
        classes: The number of its classes.
        others: As in :attr:`catwalk.ledger.records.run.RunRecord.metric_series`.
    """
    return _series(kept(epochs, classes, None, others), classes, others)


def _series(found: Kept, classes: int, others: int) -> int:
    """Returns the number of series of a run with these epochs shown."""
    of_curves = (CURVE_SERIES + others) * len(found.curves)
    return fixed_series(classes, others) + of_curves + classes * len(found.classes)


class Kept(NamedTuple):
    """The epochs whose points go to Prometheus."""

    curves: frozenset[int]
    classes: frozenset[int]
    """Those whose accuracies by class also go to Prometheus."""


@lru_cache(maxsize=256)
def kept(epochs: int, classes: int, budget: int | None, others: int = 0) -> Kept:
    """Returns which epochs of a run fit its budget of series.

    Test and stages have priority, then the epochs' curves, then those of each class.

    Args:
        epochs: The planned epochs of the run; 0 if unknown.
        classes: The number of its classes.
        budget: The series of the whole run; None for as many as any run may have.
        others: As in :attr:`catwalk.ledger.records.run.RunRecord.metric_series`.
    """
    room = max(0, min(MAX_SERIES, MAX_SERIES if budget is None else budget) - fixed_series(classes, others))
    choose = partial(_spaced, epochs) if epochs else _thinned
    curve_series = CURVE_SERIES + others
    left = room - curve_series * (epochs or MAX_EPOCHS) if classes else 0
    curves = choose(room // curve_series)
    return Kept(curves, curves & choose(max(0, left) // max(1, classes)))


def _thinned(room: int) -> frozenset[int]:
    """Returns the epochs of a run whose end is unknown: every one at first, then every second, every fourth
    and so on.
    """
    room = min(room, MAX_EPOCHS)
    whole = 1 << max(0, (room // 3).bit_length() - 1)
    found, epoch, step = list[int](), 1, 1
    while len(found) < room:
        found.append(epoch)
        epoch += step
        step *= 1 + (epoch > whole * step)
    return frozenset(found)


def _spaced(epochs: int, room: int) -> frozenset[int]:
    """Returns as many epochs as fit: the last, the first, and evenly spaced ones between."""
    if room >= epochs:
        return frozenset(range(1, epochs + 1))
    if room < 2:
        return frozenset([epochs][:room])
    return frozenset(1 + place * (epochs - 1) // (room - 1) for place in range(room))


def series_left_out(epochs: int, classes: int, budget: int | None, trained: int = 0) -> int:
    """Returns how many of a run's series are left out because they don't fit.

    If a run's metrics are only known once they are logged, :func:`series_of_epoch` and :func:`series_of_test` give the
    final numbers.

    Args:
        epochs: The planned epochs; 0 if unknown.
        classes: The number of its classes.
        budget: The series of the whole run; None for as many as any run may have.
        trained: The epochs that it has trained, if they may be more.
    """
    last = max(epochs, trained)
    whole = _WHATEVER_CLASSES + 3 * classes + classes**2 + epoch_series(classes) * last
    reached = frozenset(range(1, last + 1))
    made = Kept(*(chosen & reached for chosen in kept(epochs, classes, budget)))
    return whole - (0 if _is_silent(classes, budget) else _series(made, classes, 0))


def _is_silent(classes: int, budget: int | None, others: int = 0) -> bool:
    """Returns whether the budget has no room for anything."""
    return budget is not None and budget < fixed_series(classes, others)


def epoch_points(run: RunRecord, record: EpochRecord, place: int | None = None) -> list[Point]:
    """Returns the points of one epoch of training; none if the run's budget leaves it out (:func:`kept`).

    Args:
        run: The run of the epoch.
        record: The epoch.
        place: Its position among those of its run, from 1, because a script may log only every fiftieth step; None for
            its number.

    Raises:
        ValueError: the run names a different number of classes.
    """
    classes = _classes(run, record.class_accuracy)
    planned = run.planned_epochs if run.metric_series else run.epochs  # a script may count steps
    found = kept(planned, len(classes), run.series_budget, run.metric_series)
    place = record.epoch if place is None else place
    if not _shows(found.curves, run, record, place):
        return []
    curves = _sendable(_curves(run, record))[: CURVE_SERIES + run.metric_series]
    return [*curves, *(_class_curves(run, record) if _shows(found.classes, run, record, place) else ())]


def series_of_epoch(run: RunRecord, record: EpochRecord) -> int:
    """Returns the number of series of an epoch if everything fitted.

    Raises:
        ValueError: the run names a different number of classes.
    """
    return len(_curves(run, record)) + len(_class_curves(run, record))


def _curves(run: RunRecord, record: EpochRecord) -> list[Point]:
    """Returns all points of an epoch, except for those of classes: the first priority of each run."""
    labels = {**_run_labels(run), "epoch": str(record.epoch)}
    train, validation = {**labels, "split": "train"}, {**labels, "split": "validation"}
    values: list[_Value] = [
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
    for split, metrics in record.metrics.items():
        for name, value in metrics.items():
            family, of_split = _OF_OTHER_SPLITS.get(name), {**labels, "split": split}
            other = _named(catalogue.EPOCH_METRIC, of_split, name, value)
            values.append((family, of_split, value) if family else other)
    return _measured(values, record.finished)


def _named(family: Metric, labels: dict[str, str], name: str, value: float | None) -> _Value:
    return family, {**labels, "metric": name}, value


def _class_curves(run: RunRecord, record: EpochRecord) -> list[Point]:
    if not record.class_accuracy:
        return []
    labels = {**_run_labels(run), "epoch": str(record.epoch)}
    by_class = zip(_classes(run, record.class_accuracy), record.class_accuracy, strict=True)
    values: list[_Value] = [
        (catalogue.EPOCH_CLASS_ACCURACY, {**labels, "class": name}, accuracy) for name, accuracy in by_class
    ]
    return _measured(values, record.finished)


def _classes(run: RunRecord, figures: list[float]) -> list[str]:
    """Returns the names of the classes; those of the run if there are no results by class.

    Raises:
        ValueError: the run names a different number of classes.
    """
    return class_names(run.classes, len(figures)) if figures else run.classes


def _measured(values: list[_Value], time: float) -> list[Point]:
    """Returns the points of the measured values."""
    return [Point(metric, labels, value, time) for metric, labels, value in values if value is not None]


def _sendable(points: list[Point]) -> list[Point]:
    """Returns the points whose labels fit in a line."""
    return [point for point in points if _fit(point.labels)]


def _fit(labels: dict[str, str]) -> bool:
    return all(len(label_value(labels.get(name, "")).encode()) <= LABEL_BYTES for name in _NAMED_BY_USERS)


def _shows(chosen: frozenset[int], run: RunRecord, record: EpochRecord, place: int) -> bool:
    """Returns whether the epoch at a position is one of the chosen ones.

    A loss that is not finite ends training in the stages, and takes the last epoch's position; a script may continue.
    """
    losses = () if run.metric_series else (record.train_loss, record.validation_loss)
    ends = any(isinstance(loss, float) and not math.isfinite(loss) for loss in losses)
    return place in chosen or (ends and bool(chosen))


def test_points(run: RunRecord, record: EvaluationRecord) -> list[Point]:
    """Returns the points of the test of a model.

    Raises:
        ValueError: the run names a different number of classes.
    """
    count = len(_classes(run, record.class_accuracy))
    if _is_silent(count, run.series_budget, run.metric_series):
        return []
    return [
        *_sendable(_figures(run, record))[: 3 + TEST_RATIO * run.metric_series],
        *(_class_figures(run, record) if shows_test_classes(count) else ()),
        *(_confusion(run, record) if shows_confusion(count) else ()),
    ]


def series_of_test(run: RunRecord, record: EvaluationRecord) -> int:
    """Returns the number of series of a test if everything fitted.

    Raises:
        ValueError: the run names a different number of classes.
    """
    return sum(len(part(run, record)) for part in (_figures, _class_figures, _confusion))


def _figures(run: RunRecord, record: EvaluationRecord) -> list[Point]:
    """Returns the results over all test examples, then the headline of each slice."""
    labels, whole = _run_labels(run), {"slice": "", "slice_value": ""}
    values: list[_Value] = [
        (catalogue.TEST_ACCURACY, labels, record.accuracy),
        (catalogue.TEST_LOSS, labels, record.loss),
        (catalogue.TEST_CALIBRATION_ERROR, labels, record.calibration_error),
    ]
    values += [_named(catalogue.TEST_METRIC, {**labels, **whole}, *found) for found in record.metrics.items()]
    headline = next(iter(record.scores), "")
    for name, found in record.slices.items():
        for value, score in found.items():
            of_slice = {**labels, "slice": name, "slice_value": value}
            values.append(_named(catalogue.TEST_METRIC, of_slice, headline, score.metric))
    return _measured(values, record.finished)


def _class_figures(run: RunRecord, record: EvaluationRecord) -> list[Point]:
    labels, values = _run_labels(run), list[_Value]()
    classes = _classes(run, record.class_accuracy) if record.class_accuracy else []
    by_class = zip(classes, record.class_accuracy, record.class_precision, record.class_f1, strict=True)
    for name, accuracy, precision, f1 in by_class:
        of_class = {**labels, "class": name}
        values.append((catalogue.TEST_CLASS_ACCURACY, of_class, accuracy))
        values.append((catalogue.TEST_CLASS_PRECISION, of_class, precision))
        values.append((catalogue.TEST_CLASS_F1, of_class, f1))
    return _measured(values, record.finished)


def _confusion(run: RunRecord, record: EvaluationRecord) -> list[Point]:
    labels, values = _run_labels(run), list[_Value]()
    classes = _classes(run, record.class_accuracy) if record.class_accuracy else []
    for name, row in zip(classes, record.confusion, strict=True):
        for predicted, examples in zip(classes, row, strict=True):
            pair = {**labels, "true_class": name, "predicted_class": predicted}
            values.append((catalogue.TEST_CONFUSION, pair, examples))
    return _measured(values, record.finished)


def stage_points(run: RunRecord, record: AttemptRecord) -> list[Point]:
    """Returns the points of a stage when an attempt has ended; none if it is running or was killed."""
    if record.ended is None or _is_silent(len(run.classes), run.series_budget, run.metric_series):
        return []
    labels = {**_run_labels(run), "stage": record.stage}
    values = [
        (catalogue.STAGE_DURATION, record.duration_seconds),
        (catalogue.STAGE_PEAK_MEMORY, record.peak_memory_bytes),
        (catalogue.STAGE_CPU, record.cpu_seconds),
        (catalogue.STAGE_GPU_PEAK_MEMORY, record.gpu_peak_memory_bytes),
        (catalogue.STAGE_GPU_UTILISATION, record.gpu_utilisation_ratio),
    ]
    return [Point(metric, labels, value, record.ended) for metric, value in values if value is not None]


def _run_labels(run: RunRecord) -> dict[str, str]:
    return {"run_id": run.run_id, "model": run.model}
