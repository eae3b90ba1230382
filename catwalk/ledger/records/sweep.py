"""A sweep's record of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catwalk.ledger.records.values import is_finite


@dataclass(frozen=True)
class TrialRecord:
    """A sweep's facts on one of its trials at the time of the choice."""

    run_id: str
    parameters: dict[str, Any]
    """Knob → value, for the knobs that the sweep varies."""
    validation_accuracy: float | None = None
    """Figure of the last epoch, which has the run's model; None if its training has not finished."""
    validation_loss: float | None = None

    @property
    def finished(self) -> bool:
        """Whether it has a result to rank; NaN isn't one, because it would make the order random."""
        return is_finite(self.validation_accuracy) and is_finite(self.validation_loss)


@dataclass(frozen=True)
class SweepRecord:
    """``sweeps/<sweep_id>.json``: the trial that a sweep chose. Written once, when all trials have ended."""

    sweep_id: str
    winner: str
    """run_id of the trial that is tested and decided about."""
    sentence: str
    trials: list[TrialRecord]
    """The trials, in the order of the sweep's plan."""
    finished: float
