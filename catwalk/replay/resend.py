"""Sends every point of a run's ledger once more by StatsD, which stamps "now"."""

from __future__ import annotations

import logging

from catwalk.ledger.runs import Run
from catwalk.replay.points import run_points
from catwalk.replay.room import take_again
from catwalk.telemetry.observer import Observer

log = logging.getLogger(__name__)


def send_again(run: Run, observer: Observer) -> tuple[int, int]:
    """Sends again as the last thing that a run does; nothing that goes wrong here stops it.

    Returns:
        The points that have arrived, and those that were lost since the observer was last asked.
    """
    arrived, unsent = _send(run, observer) if observer.sends else (0, 0)
    return arrived, unsent + observer.take_dropped()


def _send(run: Run, observer: Observer) -> tuple[int, int]:
    """The points that have arrived, and those that the observer was not given."""
    try:
        points = run_points(run)
        fits = take_again(run.store, run.record, len(points))
    except Exception as error:
        log.warning("points can't be sent again: %s", " ".join(str(error).split()))
        return 0, 1
    if not fits:
        log.warning("points can't be sent again: other runs have taken all the room that runs have in Prometheus")
        return 0, len(points)
    return observer.resend(points), 0
