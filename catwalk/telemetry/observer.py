"""What a run tells the outside while it works. Stages know this protocol; the emitter is what implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.telemetry.points import Point


class Observer(Protocol):
    """Receives what has happened. No method raises, blocks for long, or changes what a run computes."""

    @property
    def sends(self) -> bool:
        """Whether it tells anybody: for one that does not, no series are reserved and no points are read."""

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        """Once an epoch, after its record was stored; `place` as for :func:`catwalk.telemetry.points.epoch_points`."""

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        """After the test split was scored and the score stored."""

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        """After a stage ended, however it ended."""

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        """After each request to the store (``get``, ``put``, ``head``, ``list``, ``delete``)."""

    def resend(self, points: Sequence[Point]) -> int:
        """Sends gauges once more; returns how many have arrived."""

    def take_dropped(self) -> int:
        """Points that could not be sent since the last call."""


class Silent:
    """Observes nothing: for tests, and where telemetry is turned off."""

    sends = False

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        pass

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        pass

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        pass

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        pass

    def resend(self, points: Sequence[Point]) -> int:
        return 0

    def take_dropped(self) -> int:
        return 0
