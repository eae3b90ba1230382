"""Every point of a run, from its ledger, that Prometheus must finally have."""

from __future__ import annotations

from dataclasses import replace

from catwalk.errors import DamagedError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.runs import Run
from catwalk.telemetry.points import (
    Point,
    epoch_points,
    series_left_out,
    series_of_epoch,
    series_of_test,
    stage_points,
    test_points,
)


def run_points(run: Run) -> list[Point]:
    """Returns every point of a run's ledger within its budget: the series that its stages have sent, or should have.

    Raises:
        StoreError: the ledger could not be read, or its records contradict each other.
    """
    record, training, evaluation = run.record, run.training(), run.evaluation()
    try:
        epochs = enumerate(training.epochs if training else [], start=1)
        points = [point for place, epoch in epochs for point in epoch_points(record, epoch, place)]
        points += test_points(record, evaluation) if evaluation else []
    except ValueError as error:
        raise DamagedError(f"the record of run {record.run_id} is damaged: {error}") from error
    for attempt in _last_ended(run.attempts()).values():
        points += stage_points(record, attempt)
    return points


def left_out(run: Run) -> int:
    """Returns how many series of a run are left out of Prometheus, after its training.

    The number was known when the run was opened, unless it trains longer than configured, has no configured length, or
    its metrics were unknown then.

    Raises:
        StoreError: the ledger could not be read.
    """
    record, training = run.record, run.training()
    if record.metric_series:
        return _whole(run) - len(run_points(run))
    trained = len(training.epochs) if training else 0
    if record.series_budget is None or trained <= record.epochs:
        return record.series_left_out
    return series_left_out(record.epochs, len(record.classes), record.series_budget, trained)


def _whole(run: Run) -> int:
    """Returns the number of series of a run if everything fitted."""
    record, training, evaluation = run.record, run.training(), run.evaluation()
    unlimited = replace(record, series_budget=None)
    stages = [point for attempt in _last_ended(run.attempts()).values() for point in stage_points(unlimited, attempt)]
    epochs = sum(series_of_epoch(record, epoch) for epoch in training.epochs) if training else 0
    return epochs + (series_of_test(record, evaluation) if evaluation else 0) + len(stages)


def _last_ended(attempts: list[AttemptRecord]) -> dict[str, AttemptRecord]:
    """Returns the attempt that represents each stage. A superseded attempt never does: its successor replaces it."""
    ended = [record for record in attempts if record.ended is not None and record.outcome != "superseded"]
    return {record.stage: record for record in sorted(ended, key=lambda record: record.number)}
