"""An attempt of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catwalk.ledger.records.run import Stage

Outcome = Literal["succeeded", "failed", "cancelled", "superseded"]


@dataclass(frozen=True)
class AttemptRecord:
    """``runs/<run_id>/attempts/<stage>-<n>.json``. A killed attempt has no end: that is how it shows."""

    stage: Stage
    number: int
    """1 for the first attempt of the stage."""
    started: float
    host: str
    pid: int
    ended: float | None = None
    outcome: Outcome | None = None
    error: str = ""
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    points_dropped: int = 0
    """Telemetry points that this attempt could not send."""

    @property
    def duration_seconds(self) -> float | None:
        """None while the attempt runs, or when it was killed."""
        return None if self.ended is None else self.ended - self.started
