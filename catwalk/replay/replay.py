"""Puts a run's points into Prometheus again, from the ledger.

The run's age decides how. While a run's points are compared with those in Prometheus, they are sent through StatsD,
which stamps "now", as rules expect. Older points become Prometheus blocks at their true time.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import WATCHED_SECONDS
from catwalk.replay.backfill import backfill
from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.points import run_points
from catwalk.replay.prometheus import scraped_labels
from catwalk.replay.resend import send_and_confirm
from catwalk.telemetry.observer import Observer


@dataclass(frozen=True)
class Replayed:
    """The result of a replay."""

    run_id: str
    transport: str
    """``statsd``, ``backfill``, or ``file`` if there is no promtool or no data folder to load blocks into."""
    points: int
    where: str
    """The address, folder or file."""
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return asdict(self)


def replay(run: Run, observer: Observer, out: Path | None, now: float) -> Replayed:
    """Sends or backfills every point of a run's ledger.

    Args:
        run: The run.
        observer: The observer that sends points through StatsD.
        out: The folder for blocks; if given, the run is backfilled whatever its age.
        now: Seconds since the epoch.

    Raises:
        CatwalkError: there is nothing to send, or it could not be sent.
    """
    points = run_points(run)
    if not points:
        why = "may have no series in Prometheus" if run.record.series_budget == 0 else "has no points yet"
        raise CatwalkError(f"run {run.run_id} {why}")
    if out is None and now - max(point.time for point in points) < WATCHED_SECONDS:
        sentence = send_and_confirm(run, points, observer)
        return Replayed(run.run_id, "statsd", len(points), os.environ.get("CATWALK_STATSD", ""), sentence)
    written = backfill(run.run_id, points, out)
    return Replayed(run.run_id, written.transport, len(points), str(written.where), written.sentence)


def as_openmetrics(run: Run) -> str:
    """Returns every point of a run's ledger, for `promtool tsdb create-blocks-from openmetrics` on another machine."""
    return openmetrics(run_points(run), scraped_labels())
