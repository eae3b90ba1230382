"""The stages of a run, as plain functions that both the DAG and the command line call.

You can repeat each stage any number of times: it skips finished work and resumes unfinished work. This module doesn't
need torch until a stage computes, so that `decide` and `publish` start fast.
"""

from __future__ import annotations

from collections.abc import Callable

from catwalk.ledger.records.run import STAGES, Stage
from catwalk.ledger.runs import Run
from catwalk.stages.decide import decide
from catwalk.stages.ingest import ingest
from catwalk.stages.publish import publish
from catwalk.stages.test import test
from catwalk.stages.train import train
from catwalk.telemetry.observer import Observer

STAGE_FUNCTIONS: dict[Stage, Callable[[Run, Observer], None]] = dict(
    zip(STAGES, (ingest, train, test, decide, publish), strict=True)
)


def run_stages(run: Run, observer: Observer) -> None:
    """Runs all stages in order, like the DAG: publish always comes last, and the first error is raised."""
    try:
        for stage in STAGES[:-1]:
            STAGE_FUNCTIONS[stage](run, observer)
    finally:
        publish(run, observer)
