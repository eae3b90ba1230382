"""Shows the progress of a run, and passes everything on to the observer that sends the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from catwalk.cli.tables.output import number
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.telemetry.observer import Observer
from catwalk.telemetry.points import Point


class ProgressObserver:
    """An :class:`catwalk.telemetry.observer.Observer` with a bar that moves once per epoch."""

    def __init__(self, inner: Observer, console: Console, epochs: int, finished_epochs: int = 0) -> None:
        """
        Args:
            inner: The observer that everything is passed on to.
            console: Where the bar is drawn, if it is a terminal.
            epochs: The epochs of the whole run.
            finished_epochs: The epochs that earlier attempts finished.
        """
        self.resent = 0
        """Points that `publish` sent again."""
        self._inner = inner
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("epochs", total=epochs, completed=finished_epochs, note="")

    def __enter__(self) -> ProgressObserver:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def sends(self) -> bool:
        return self._inner.sends

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        # Figures of the validation split. A longer line would wrap on a terminal of 80 columns.
        note = f"loss {number(record.validation_loss, '.4f')} acc. {number(record.validation_accuracy, '.2%')}"
        self._progress.update(self._task, completed=record.epoch, note=note)
        self._inner.epoch_finished(run, record, place)

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        self._inner.test_finished(run, record)

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        duration = record.duration_seconds
        if duration is not None and self._progress.console.is_terminal:
            mark = "[green]✓[/]" if record.outcome == "succeeded" else "[red]✗[/]"
            self._progress.console.print(f"{mark} {record.stage} {duration:.1f} s", highlight=False)
        self._inner.stage_finished(run, record)

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        self._inner.store_operation(operation, seconds, failed)

    def resend(self, points: Sequence[Point]) -> int:
        self.resent = self._inner.resend(points)
        return self.resent

    def take_dropped(self) -> int:
        return self._inner.take_dropped()
