"""The end of a run that logs: decide, store and send; in its own process, or later by `catwalk finish`."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from catwalk.errors import CatwalkError, SupersededError
from catwalk.ledger.attempts import end
from catwalk.ledger.records.attempt import Outcome
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.summary import State, SummaryRecord
from catwalk.ledger.runs import Run, touched, with_decision
from catwalk.redaction import without_credentials
from catwalk.telemetry.observer import Observer
from catwalk.tracking.arguments.epochs import epoch_record
from catwalk.tracking.patience import patiently
from catwalk.tracking.session import Session

log = logging.getLogger(__name__)


def close(session: Session, error: BaseException | None) -> None:
    """Ends a run with the outcome of its block. The caller's own error propagates, whatever happens here.

    Raises:
        CatwalkError: The block succeeded, but its end could not be stored.
    """
    failed = error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0))
    if failed and error is not None:
        try:
            _fail(session, error)
        except Exception as trouble:
            log.error("could not store the end of run %s: %s", session.run.run_id, trouble)
        return
    try:
        _succeed(session)
    except SupersededError:
        end(session.run, session.begun.ended("superseded", "another attempt has taken over", 0))
        raise
    except CatwalkError as trouble:
        run_id = session.run.run_id
        raise type(trouble)(
            f"run {run_id} is not closed: {trouble}; stored so far: {session.journal.stored}; `catwalk finish "
            f"{run_id}` completes it"
        ) from trouble


def _succeed(session: Session) -> None:
    deadline = time.monotonic() + session.close_seconds
    run = session.run
    _log_rest(session)
    patiently(deadline, lambda: session.journal.flush(deadline))
    if session.tested or session.journal.fresh:
        session.decision = patiently(deadline, lambda: decided(run))
    patiently(deadline, lambda: _end(session, "succeeded", ""))
    state: State = "succeeded" if session.decision else "untested"
    patiently(deadline, lambda: conclude(run, state, session.observer))
    if session.decision:
        log.info("%s", session.decision.sentence)


def _fail(session: Session, error: BaseException) -> None:
    cancelled = isinstance(error, KeyboardInterrupt)
    deadline = time.monotonic() + session.close_seconds
    message = str(error) if isinstance(error, CatwalkError) else f"{type(error).__name__}: {error}".rstrip(": ")
    _log_rest(session)
    patiently(deadline, lambda: session.journal.flush(deadline))
    patiently(deadline, lambda: _end(session, "cancelled" if cancelled else "failed", without_credentials(message)))
    patiently(deadline, lambda: conclude(session.run, "cancelled" if cancelled else "failed", session.observer))


def _log_rest(session: Session) -> None:
    """Adds what was logged after the last epoch to that epoch, or to a new one if there is none."""
    with session.lock:
        logged, session.logged = session.logged, {}
    if logged:
        epochs = session.journal.epochs
        number = epochs[-1].epoch if epochs and not session.journal.fresh else 1
        session.journal.add(epoch_record(number, logged, time.perf_counter() - session.epoch_started))


def _end(session: Session, outcome: Outcome, error: str) -> None:
    dropped = session.observer.take_dropped() + session.journal.dropped
    ended = session.begun.ended(outcome, error, dropped)
    end(session.run, ended)
    session.observer.stage_finished(session.run.record, ended)


def decided(run: Run) -> DecisionRecord | None:
    """The decision about a tested run; None if it was not tested."""
    evaluation = run.evaluation()
    if evaluation is None:
        return None
    from catwalk.tracking.ruling import decide

    return run.decision() or decide(run, evaluation)


def conclude(run: Run, state: State, observer: Observer) -> None:
    """Writes how a run ended, and sends its points again. It deletes an earlier report of the run."""
    from catwalk.replay.resend import send_again

    decision, now = run.decision(), time.time()
    sent = send_again(run, observer, ended=state not in ("failed", "cancelled"))

    def change(summary: SummaryRecord) -> SummaryRecord:
        ended = replace(
            summary,
            state=state,
            finished=summary.finished or now,
            points_dropped=summary.points_dropped + sent.lost,
            series_left_out=sent.left_out,
        )
        return touched(with_decision(ended, decision) if decision else ended, now)

    run.store.delete(run.key("report.html"))
    run.update_summary(change)
    run.store.delete(open_key(run.record.model, run.run_id))


def open_key(model: str, run_id: str) -> str:
    """The key of an empty object that exists while a run is open."""
    return f"open_runs/{model}/{run_id}"


def finish(run: Run, observer: Observer) -> SummaryRecord:
    """Completes a run from what it stored: decides about it if it was tested; otherwise it stays untested.

    Raises:
        CatwalkError: The stages run it, or it can't be decided.
    """
    if not run.record.problem:
        raise CatwalkError(
            f"run {run.run_id} was started by the stages; `catwalk run --run-id {run.run_id}` resumes it"
        )
    decision = decided(run)
    conclude(run, "succeeded" if decision else "untested", observer)
    summary = run.summary()
    assert summary is not None  # conclude has written it
    return summary
