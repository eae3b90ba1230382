"""An attempt of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catwalk.ledger.records.run import Stage

Outcome = Literal["succeeded", "failed", "cancelled", "superseded"]


@dataclass(frozen=True)
class AttemptRecord:
    """``runs/<run_id>/attempts/<stage>-<n>.json``. A killed attempt has no end, which shows that it was killed."""

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
    gpu_peak_memory_bytes: int | None = None
    """Summed over the GPUs that it used; None if it used none."""
    gpu_utilisation_ratio: float | None = None
    """Share of the time in which these GPUs were computing; None if unknown."""
    points_dropped: int = 0
    """Telemetry points that this attempt could not send."""

    @property
    def has_used_gpu(self) -> bool:
        """Whether there are figures of GPUs."""
        return self.gpu_peak_memory_bytes is not None

    @property
    def duration_seconds(self) -> float | None:
        """The duration; None while the attempt runs, or if it was killed."""
        return None if self.ended is None else self.ended - self.started
