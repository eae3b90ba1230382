"""The protocol for a run's events. Stages use this protocol; the emitter implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.telemetry.points import Point


class Observer(Protocol):
    """Receives events. No method raises, blocks for long, or changes what a run computes."""

    @property
    def sends(self) -> bool:
        """Whether it sends anything; if not, no series are reserved and no points are read."""

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        """Called once per epoch, after its record was stored; `place` as for
        :func:`catwalk.telemetry.points.epoch_points`.
        """

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        """Called after the test split was scored and the score stored."""

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        """Called after a stage ended, with any outcome."""

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        """Called after each request to the store (``get``, ``put``, ``head``, ``list``, ``delete``)."""

    def resend(self, points: Sequence[Point]) -> int:
        """Resends gauges; returns how many have arrived."""

    def take_dropped(self) -> int:
        """Returns how many points could not be sent since the last call."""


class Silent:
    """Observes nothing: for tests, and if telemetry is off."""

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
