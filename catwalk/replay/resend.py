"""Sends every point of a run's ledger once more by StatsD, which stamps "now"."""

from __future__ import annotations

import logging
import os
import time

from catwalk.clients.environment import part_url
from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.replay import prometheus
from catwalk.replay.points import run_points
from catwalk.replay.room import take_again
from catwalk.telemetry.observer import Observer
from catwalk.telemetry.points import Point

log = logging.getLogger(__name__)

ARRIVAL_SECONDS = 90.0
"""How long what was sent may take to be in Prometheus: some scrapes, and one that fails."""
_ASK_SECONDS = 1.0


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


def send_and_confirm(run: Run, points: list[Point], observer: Observer) -> str:
    """Sends all points of a run, and waits until Prometheus has them; says so in a sentence.

    Raises:
        CatwalkError: they have no room, could not be sent, or did not arrive.
    """
    if not take_again(run.store, run.record, len(points)):
        raise CatwalkError(
            f"{len(points)} points of run {run.run_id} have no room in Prometheus beside those of other runs; try "
            "again in an hour, or write them as blocks with --out"
        )
    observer.take_dropped()
    sent, dropped = observer.resend(points), observer.take_dropped()
    if not sent or dropped:
        address = os.environ.get("CATWALK_STATSD")
        remedy = (
            f"is statsd_exporter running at {address}?"
            if address
            else "set CATWALK_STATSD to statsd_exporter's host:port"
        )
        raise CatwalkError(f"{dropped or 'all'} points of run {run.run_id} could not be sent; {remedy}")
    return f"{sent} points of run {run.run_id} sent by StatsD; {_arrival(run.run_id, sent)}"


def _arrival(run_id: str, points: int) -> str:
    """Whether Prometheus has a run's points, as it says itself, given time for a scrape.

    Raises:
        CatwalkError: it has not, or refuses the password.
    """
    deadline, found = time.monotonic() + ARRIVAL_SECONDS, 0
    while time.monotonic() < deadline:
        try:
            found = prometheus.series_of(run_id)
        except prometheus.UNKNOWN:
            return f"whether Prometheus has them is not known, since {part_url('prometheus')} can't be asked"
        if found >= points:
            return "Prometheus has them"
        time.sleep(_ASK_SECONDS)
    raise CatwalkError(
        f"{points} points of run {run_id} were sent, but Prometheus has {found} of them after {ARRIVAL_SECONDS:.0f} s; "
        "`catwalk doctor` says what is wrong on the way"
    )
