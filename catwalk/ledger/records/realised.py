"""A model's realised quality in service, from labels that arrived later."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """The headline over some predictions."""

    labelled: int
    """The number of labelled predictions."""
    value: float | None = None
    """The value; None without labelled predictions."""
    low: float | None = None
    """The 95 % interval: Wilson's for an accuracy, otherwise that of the mean loss; None if there are too few."""
    high: float | None = None


@dataclass(frozen=True)
class DayRecord:
    """A version's predictions on one day."""

    version: str
    day: str
    """The day in UTC, such as ``2026-11-27``."""
    served: int
    """The sum of logged, sampled out, dropped and lost."""
    logged: int
    """Predictions in the ledger."""
    sampled_out: int
    dropped: int
    """Predictions that were written too late, or never."""
    lost: int
    """Predictions that were written and then damaged, because a machine failed."""
    score: Score
    loss: float = 0.0
    """Sum of the losses of labelled predictions."""
    squares: float = 0.0
    """Sum of the squared losses of labelled predictions."""


@dataclass(frozen=True)
class RealisedRecord:
    """``realised/<model>.json``: rebuilt from the logs and labels in the ledger."""

    model: str
    metric: str
    """The headline metric."""
    goal: str
    """The headline's goal: maximize or minimize."""
    days: list[DayRecord]
    """The days, oldest first."""
    windows: dict[str, dict[str, Score]]
    """Version → window, such as ``7d`` → the headline over the window's predictions."""
    labels: dict[str, int]
    """Outcome → labels: joined, unknown, repeated, revised, conflicting, unreadable."""
    received: float | None
    """Unix time at which the last label arrived; None if none has."""
    updated: float
    schema: int = SCHEMA
