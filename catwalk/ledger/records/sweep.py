"""What a sweep records of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catwalk.ledger.records.values import is_finite


@dataclass(frozen=True)
class TrialRecord:
    """What a sweep knows of one of its trials when it chooses."""

    run_id: str
    parameters: dict[str, Any]
    """Knob → value, of the knobs that the sweep varies."""
    validation_accuracy: float | None = None
    """Of the last epoch, which is the run's model; None: its training has not finished."""
    validation_loss: float | None = None

    @property
    def finished(self) -> bool:
        """There is a result to rank; NaN is none, for it would leave the order to chance."""
        return is_finite(self.validation_accuracy) and is_finite(self.validation_loss)


@dataclass(frozen=True)
class SweepRecord:
    """``sweeps/<sweep_id>.json``: which trial a sweep has chosen. Written once, when all of them have ended."""

    sweep_id: str
    winner: str
    """run_id of the trial that is tested and decided about."""
    sentence: str
    trials: list[TrialRecord]
    """In the order of the sweep's plan."""
    finished: float
