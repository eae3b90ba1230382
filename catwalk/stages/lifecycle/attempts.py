"""One attempt of one stage: its start, end, outcome and cost."""

from __future__ import annotations

import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from catwalk.errors import CancelledError, CatwalkError, RunConflictError, SupersededError
from catwalk.ledger.attempts import begin, end
from catwalk.ledger.records.attempt import AttemptRecord, Outcome
from catwalk.ledger.records.run import Stage
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run, check_code, touched
from catwalk.redaction import without_credentials
from catwalk.stages.lifecycle import memory
from catwalk.stages.lifecycle.provenance import code_sha256
from catwalk.telemetry.observer import Observer
from catwalk.trainable import config_of, of_run

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Attempt:
    """A running attempt of a stage."""

    run: Run
    record: AttemptRecord
    _cancelled: threading.Event

    def check_cancelled(self) -> None:
        """Raises: CancelledError: This process received a signal to stop."""
        if self._cancelled.is_set():
            raise CancelledError(
                f"{self.record.stage} was stopped by a signal; its state is saved, and a retry continues from there"
            )

    def summarise(self, change: Callable[[SummaryRecord], SummaryRecord]) -> SummaryRecord:
        """Changes the run's summary and its time."""
        return self.run.update_summary(lambda summary: touched(change(summary), time.time()), self.check_cancelled)


@contextmanager
def attempt(run: Run, stage: Stage, observer: Observer) -> Iterator[Attempt]:
    """Records start, end, outcome and cost of one attempt of a stage, and notifies the observer.

    Only publish continues even if the run's code has changed.

    Raises:
        RunConflictError: Other code started the run.
    """
    advice: AbstractContextManager[None] = nullcontext()
    if stage != "publish":
        check_started(run)
        advice = memory.advice(config_of(of_run(run.record), run.record))
    begun = begin(run, stage)
    outcome: Outcome = "failed"
    error = ""
    with _stop_signals() as cancelled:
        try:
            with advice:
                yield Attempt(run, begun.record, cancelled)
            outcome = "succeeded"
        except CancelledError as stop:
            outcome, error = "cancelled", str(stop)
            raise
        except SupersededError as stop:
            outcome, error = "superseded", str(stop)
            raise
        except BaseException as failure:
            error = str(failure) if isinstance(failure, CatwalkError) else f"{type(failure).__name__}: {failure}"
            raise
        finally:
            ended = begun.ended(outcome, without_credentials(error), observer.take_dropped())
            end(run, ended)
            if outcome != "superseded":
                observer.stage_finished(run.record, ended)


def already_done(run: Run, stage: Stage) -> None:
    """Logs that a stage has already finished.

    Raises:
        RunConflictError: Other code started the run.
    """
    check_started(run)
    log.info("run %s: %s has already finished; nothing to do", run.run_id, stage)


def check_started(run: Run) -> None:
    """Refuses a run that other code started; version 0.1, which names no Trainable, counts as other code.

    Raises:
        RunConflictError: Other code started it.
        ConfigError: Its Trainable is not available here.
    """
    if not run.record.trainable:
        raise RunConflictError(
            f"run {run.run_id} was started by version 0.1; a run has one configuration: trigger a new one instead"
        )
    check_code(run.record, code_sha256(of_run(run.record)))


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turns SIGTERM and SIGINT into a flag, so that a stage stops where it can save its state."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        flag.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
