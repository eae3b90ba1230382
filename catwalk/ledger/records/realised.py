"""How well a model did in service, by the labels that came later."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """The headline of some predictions."""

    labelled: int
    """Of how many."""
    value: float | None = None
    """None: of none."""
    low: float | None = None
    """Of the 95 % interval: Wilson's of an accuracy, else that of the mean loss; None: too few for one."""
    high: float | None = None


@dataclass(frozen=True)
class DayRecord:
    """A version's predictions of one day."""

    version: str
    day: str
    """In UTC, such as ``2026-11-27``."""
    served: int
    """Logged, sampled out, dropped and lost add up to it."""
    logged: int
    """In the ledger by now."""
    sampled_out: int
    dropped: int
    """Not written in time, or not at all."""
    lost: int
    """Written, and not in the ledger: a machine has failed, or the rest is on its way."""
    score: Score
    loss: float = 0.0
    """Sum over those with a label."""
    squares: float = 0.0
    """Of each loss, likewise."""


@dataclass(frozen=True)
class RealisedRecord:
    """``realised/<model>.json``: made anew of the logs and labels that the ledger has."""

    model: str
    metric: str
    """The headline."""
    goal: str
    """Of it: maximize or minimize."""
    days: list[DayRecord]
    """The oldest first."""
    windows: dict[str, dict[str, Score]]
    """Version → window, such as ``7d`` → the headline of the predictions of its days."""
    labels: dict[str, int]
    """What has become of them: joined, unknown, repeated, revised, conflicting, unreadable."""
    received: float | None
    """Unix time at which the last label came; None: none ever did."""
    updated: float
    schema: int = SCHEMA
