"""Resends every point of a run's ledger through StatsD, which stamps "now"."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace

from catwalk.environment.parts import part_url
from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.replay import prometheus
from catwalk.replay.points import left_out, run_points
from catwalk.replay.room import take_again
from catwalk.telemetry.observer import Observer
from catwalk.telemetry.points import Point

log = logging.getLogger(__name__)

ARRIVAL_SECONDS = 90.0
"""How long sent points may take to appear in Prometheus: a few scrapes, and one that fails."""
_ASK_SECONDS = 1.0


@dataclass(frozen=True)
class Sent:
    """What happened to a run's points."""

    arrived: int = 0
    lost: int = 0
    """Points lost since the observer was last asked."""
    left_out: int = 0
    """Series that did not fit, as far as the run has trained."""


def send_again(run: Run, observer: Observer, *, ended: bool) -> Sent:
    """Resends the points as the last action of a run; no failure here stops it.

    Args:
        ended: Whether it makes no more series. A failed run may continue, so it keeps its room.
    """
    sent = _send(run, observer, ended) if observer.sends else Sent(left_out=run.record.series_left_out)
    return replace(sent, lost=sent.lost + observer.take_dropped())


def _send(run: Run, observer: Observer, ended: bool) -> Sent:
    """Returns what happened to them, except for those that the observer itself lost."""
    try:
        points, without = run_points(run), left_out(run)
        kept = 0 if ended else run.record.series_budget or 0
        fits = take_again(run.store, run.record, max(kept, len(points)))
    except Exception as error:
        log.warning("can't resend points: %s", " ".join(str(error).split()))
        return Sent(0, 1, run.record.series_left_out)
    if not fits:
        log.warning("can't resend points: other runs use all the series that runs may have in Prometheus")
        return Sent(0, len(points), without)
    return Sent(observer.resend(points), 0, without)


def send_and_confirm(run: Run, points: list[Point], observer: Observer) -> str:
    """Sends all points of a run, and waits until Prometheus has them; returns a sentence about it.

    Raises:
        CatwalkError: they have no room, could not be sent, or did not arrive.
    """
    if not take_again(run.store, run.record, len(points)):
        raise CatwalkError(
            f"{len(points)} points of run {run.run_id} don't fit into Prometheus beside those of other runs; try "
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
    return f"{sent} points of run {run.run_id} sent through StatsD; {_arrival(run.run_id, sent)}"


def _arrival(run_id: str, points: int) -> str:
    """Returns whether Prometheus has a run's points, after time for a scrape.

    Raises:
        CatwalkError: it has not, or refuses the password.
    """
    deadline, found = time.monotonic() + ARRIVAL_SECONDS, 0
    while time.monotonic() < deadline:
        try:
            found = prometheus.series_of(run_id)
        except prometheus.UNKNOWN:
            return f"it is unknown whether Prometheus has them, because {part_url('prometheus')} does not answer"
        if found >= points:
            return "Prometheus has them"
        time.sleep(_ASK_SECONDS)
    raise CatwalkError(
        f"{points} points of run {run_id} were sent, but Prometheus has {found} of them after {ARRIVAL_SECONDS:.0f} s; "
        "run `catwalk doctor` to find out what is wrong on the way"
    )
