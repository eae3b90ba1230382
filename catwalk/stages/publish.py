"""Publish: records how the run ended, builds its report and sends its points again, whatever happened before."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from catwalk.errors import CatwalkError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.summary import State, SummaryRecord
from catwalk.ledger.runs import Run, touched
from catwalk.ledger.sweep import NOT_CHOSEN, passed_over
from catwalk.replay.resend import send_again
from catwalk.stages.artifacts import reports
from catwalk.stages.lifecycle.attempts import attempt
from catwalk.telemetry.observer import Observer

log = logging.getLogger(__name__)


def publish(run: Run, observer: Observer) -> None:
    """Records how the run ended, builds its report and sends its points again."""
    if not run.store.exists(run.key("run.json")):
        log.warning("run %s was never opened (its parameters were refused): nothing to publish", run.run_id)
        return
    with attempt(run, "publish", observer):
        _conclude(run)
        _report(run)
    sent = send_again(run, observer, ended=True)
    log.info("%d points sent again%s", sent.arrived, f", {sent.lost} could not be sent" if sent.lost else "")
    if sent.lost or sent.left_out != run.record.series_left_out:
        run.update_summary(
            lambda summary: replace(
                summary, points_dropped=summary.points_dropped + sent.lost, series_left_out=sent.left_out
            )
        )


def _conclude(run: Run) -> None:
    """Writes into the summary how the run ended."""
    decision, attempts = run.decision(), run.attempts()
    last = next((record for record in reversed(attempts) if record.stage != "publish"), None)
    not_tested = "" if decision else passed_over(run)
    ended = bool(decision or not_tested)
    state: State = "succeeded" if ended else "cancelled" if last and last.outcome == "cancelled" else "failed"
    error = "" if ended else _failure(last)
    now = time.time()

    def change(summary: SummaryRecord) -> SummaryRecord:
        changed = replace(summary, state=state, error=error, finished=summary.finished or now)
        renewed = replace(changed, reason=NOT_CHOSEN, sentence=not_tested) if not_tested else changed
        return touched(renewed, now)

    run.update_summary(change)
    log.info("run %s %s%s", run.run_id, state, f": {error or not_tested}" if error or not_tested else "")


def _report(run: Run) -> None:
    """Builds and stores the report; an error here doesn't fail the run."""
    try:
        from catwalk.report.build import build

        report = build(run)
        reports.store(run, report)
    except Exception as error:
        reason = str(error) if isinstance(error, CatwalkError) else f"{type(error).__name__}: {error}"
        log.warning("no report: %s; `catwalk report %s` builds it", " ".join(reason.split()), run.run_id)
    else:
        missing = f", without {', '.join(report.missing)}" if report.missing else ""
        log.info("report stored as %s%s", run.key("report.html"), missing)


def _failure(last: AttemptRecord | None) -> str:
    if last is None:
        return "no stage has started"
    if last.outcome == "succeeded":
        return f"the run ended after {last.stage}"
    return last.error or f"{last.stage} was killed in attempt {last.number}, without an error message"
