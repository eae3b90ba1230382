"""What a run tells the outside while it works. `catwalk.telemetry` implements it; stages know this alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from catwalk.ledger.records import AttemptRecord, EpochRecord, EvaluationRecord, RunRecord

if TYPE_CHECKING:
    from catwalk.ledger.runs import Run
    from catwalk.storage.store import Store


class Observer(Protocol):
    """Receives what has happened. No method raises, blocks for long, or changes what a run computes."""

    def run_opening(self, store: Store, run: RunRecord, epochs: Sequence[int]) -> RunRecord:
        """Before a run's record is written, once; returns the record with what the observer has to remember in it.

        Args:
            store: that the record goes to.
            run: the record.
            epochs: that each trial of its sweep is to train; the run's own alone where it is no trial.
        """

    def epoch_finished(self, run: RunRecord, record: EpochRecord) -> None:
        """Once an epoch, after its record was stored."""

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        """After the test split was scored and the score stored."""

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        """After a stage ended, however it ended."""

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        """After each S3 request (``get``, ``put``, ``head``, ``list``, ``delete``)."""

    def resend(self, run: Run) -> int:
        """Sends every gauge point that the run's ledger holds once more; returns how many."""

    def take_dropped(self) -> int:
        """Points that could not be sent since the last call."""


class Silent:
    """Observes nothing: for tests, and where telemetry is turned off."""

    def run_opening(self, store: Store, run: RunRecord, epochs: Sequence[int]) -> RunRecord:
        return run

    def epoch_finished(self, run: RunRecord, record: EpochRecord) -> None:
        pass

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        pass

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        pass

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        pass

    def resend(self, run: Run) -> int:
        return 0

    def take_dropped(self) -> int:
        return 0
