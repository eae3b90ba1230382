"""One attempt of one stage in the ledger: its start, end, outcome and cost."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import resource
import socket
import time

from catwalk.errors import CatwalkError
from catwalk.gpu import GpuWatch
from catwalk.ledger.records.attempt import AttemptRecord, Outcome
from catwalk.ledger.records.run import Stage
from catwalk.ledger.records.summary import StageSummary, State, SummaryRecord
from catwalk.ledger.runs import Run, touched

log = logging.getLogger(__name__)

_LONGEST_ERROR = 500


@dataclasses.dataclass(frozen=True)
class Begun:
    """A running attempt in this process."""

    record: AttemptRecord
    cpu_seconds: float
    """CPU seconds that the process had used before."""
    gpu: GpuWatch

    def ended(self, outcome: Outcome, error: str, points_dropped: int) -> AttemptRecord:
        """The record of its end, at the current time."""
        gpu = self.gpu.stop()
        return dataclasses.replace(
            self.record,
            ended=time.time(),
            outcome=outcome,
            error=" ".join(error.split())[:_LONGEST_ERROR],
            cpu_seconds=_cpu_seconds() - self.cpu_seconds,
            peak_memory_bytes=_peak_memory_bytes(),
            gpu_peak_memory_bytes=gpu.peak_memory_bytes,
            gpu_utilisation_ratio=gpu.utilisation_ratio,
            points_dropped=points_dropped,
        )


def begin(run: Run, stage: Stage) -> Begun:
    """Takes the next attempt number of this stage, and marks the stage as running in the summary."""
    record = run.start_attempt(stage, time.time(), socket.gethostname(), os.getpid())
    begun = Begun(record, _cpu_seconds(), GpuWatch())
    log.info("run %s: %s, attempt %d", run.run_id, stage, record.number)
    run.update_summary(lambda summary: _started(summary, record))
    return begun


def _started(summary: SummaryRecord, record: AttemptRecord) -> SummaryRecord:
    before = summary.stages.get(record.stage, StageSummary())
    of_stage = dataclasses.replace(
        before, attempts=max(record.number, before.attempts), started=record.started, ended=None
    )
    # publish works on a run that has already ended; only publish records how.
    state = summary.state if record.stage == "publish" else "running"
    finished = summary.finished if record.stage == "publish" else None
    started = dataclasses.replace(
        summary,
        stage=record.stage,
        stages={**summary.stages, record.stage: of_stage},
        state=state,
        finished=finished,
    )
    return touched(started, record.started)


def end(run: Run, ended: AttemptRecord) -> None:
    """Stores an attempt's end. If the store itself is down, the error that stopped the stage matters more."""
    try:
        run.end_attempt(ended)
        run.update_summary(lambda summary: _ended(summary, ended))
    except CatwalkError as failure:
        if ended.outcome == "succeeded":
            raise
        log.error("could not record the end of this attempt: %s", failure)


def _ended(summary: SummaryRecord, ended: AttemptRecord) -> SummaryRecord:
    if ended.outcome == "superseded":
        return summary
    of_stage = dataclasses.replace(
        summary.stages.get(ended.stage, StageSummary()), seconds=ended.duration_seconds, ended=ended.ended
    )
    state: State = "cancelled" if ended.outcome == "cancelled" else summary.state
    changed = dataclasses.replace(
        summary,
        stages={**summary.stages, ended.stage: of_stage},
        state=state,
        error=ended.error or (summary.error if ended.stage == "publish" else ""),
        points_dropped=summary.points_dropped + ended.points_dropped,
    )
    return touched(changed, ended.ended or 0.0)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_memory_bytes() -> int:
    kilobyte = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
