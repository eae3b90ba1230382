"""Puts a run's points into Prometheus once more, from the ledger in S3.

Two roads, by the run's age. While a run's points are compared with what Prometheus holds, they go by StatsD, which
stamps "now": that is how rules count them. Older points become Prometheus blocks (OpenMetrics backfill) with one sample
a series at its true time: every `last_over_time` window that covers this time finds it, and that is how tables and
panels read per-run series. The samples carry the labels `job` and `instance` of statsd_exporter as Prometheus scrapes
it, so that they continue the scraped series.

Blocks must not reach into the last three hours, which Prometheus still holds in its open head. It picks up new blocks
in its data folder by itself, within a minute or so.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catwalk.checkout import find_tool
from catwalk.clients import access
from catwalk.clients.environment import part_address, part_url
from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.stages.observer import Observer
from catwalk.telemetry import budget
from catwalk.telemetry.labels import label_values
from catwalk.telemetry.points import Point, run_points
from catwalk_exporter.snapshot import WATCHED_SECONDS

SCRAPE_JOB = "statsd_exporter"
"""statsd_exporter's job name in prometheus.yml."""
ARRIVAL_SECONDS = 90.0
"""How long what was sent may take to be in Prometheus: some scrapes, and one that fails."""
_ASK_SECONDS = 1.0
_TIMEOUT = 5.0
_PROMTOOL_TIMEOUT = 600.0


@dataclass(frozen=True)
class Replayed:
    """What a replay has done."""

    run_id: str
    road: str
    """``statsd``, ``backfill``, or ``file`` where there is no promtool or no data folder to load blocks into."""
    points: int
    where: str
    """Address, folder or file."""
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def replay(run: Run, observer: Observer, out: Path | None, now: float) -> Replayed:
    """Sends or backfills every point of a run's ledger.

    Args:
        run: which.
        observer: whose `resend` is the StatsD road.
        out: folder for blocks; given, the run is backfilled whatever its age.
        now: seconds since the epoch.

    Raises:
        CatwalkError: there is nothing to send, or it could not be sent.
    """
    points = run_points(run)
    if not points:
        why = "may make no series in Prometheus" if run.record.series_left_out else "has no points yet"
        raise CatwalkError(f"run {run.run_id} {why}")
    if out is None and now - max(point.time for point in points) < WATCHED_SECONDS:
        return _resend(run, observer, len(points))
    return _backfill(run.run_id, points, out)


def as_openmetrics(run: Run) -> str:
    """Every point of a run's ledger, for `promtool tsdb create-blocks-from openmetrics` on another machine."""
    return openmetrics(run_points(run), _scraped_labels())


def _resend(run: Run, observer: Observer, points: int) -> Replayed:
    if not budget.take_again(run.store, run.record, points):
        raise CatwalkError(
            f"{points} points of run {run.run_id} have no room in Prometheus beside those of other runs; try again in "
            "an hour, or write them as blocks with --out"
        )
    observer.take_dropped()
    sent, dropped = observer.resend(run), observer.take_dropped()
    if not sent or dropped:
        address = os.environ.get("CATWALK_STATSD")
        remedy = (
            f"is statsd_exporter running at {address}?"
            if address
            else "set CATWALK_STATSD to statsd_exporter's host:port"
        )
        raise CatwalkError(f"{dropped or 'all'} points of run {run.run_id} could not be sent; {remedy}")
    sentence = f"{sent} points of run {run.run_id} sent by StatsD; {_arrival(run.run_id, sent)}"
    return Replayed(run.run_id, "statsd", sent, os.environ.get("CATWALK_STATSD", ""), sentence)


def _arrival(run_id: str, points: int) -> str:
    """Whether Prometheus has a run's points, as it says itself, given time for a scrape.

    Raises:
        CatwalkError: it has not, or refuses the password.
    """
    deadline, found = time.monotonic() + ARRIVAL_SECONDS, 0
    while time.monotonic() < deadline:
        try:
            found = _held(run_id)
        except (OSError, ValueError, KeyError, TypeError):
            return f"whether Prometheus has them is not known, since {part_url('prometheus')} can't be asked"
        if found >= points:
            return "Prometheus has them"
        time.sleep(_ASK_SECONDS)
    raise CatwalkError(
        f"{points} points of run {run_id} were sent, but Prometheus has {found} of them after {ARRIVAL_SECONDS:.0f} s; "
        "`catwalk doctor` says what is wrong on the way"
    )


def _held(run_id: str) -> int:
    """Series of a run that Prometheus has had within a day."""
    query = f'count(last_over_time({{__name__=~"ml_.+", run_id="{run_id}"}}[1d]))'
    result = _ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
    return int(result[0]["value"][1]) if result else 0


def _backfill(run_id: str, points: list[Point], out: Path | None) -> Replayed:
    text = openmetrics(points, _scraped_labels())
    folder = out or _data_folder()
    promtool = find_tool("promtool")
    if folder is None or promtool is None:
        file = (out or Path()) / f"{run_id}.openmetrics"
        _write(file, text)
        missing = (
            "promtool is not on the PATH" if promtool is None else "Prometheus' data folder is not on this machine"
        )
        sentence = (
            f"{missing}: wrote {len(points)} points to {file}; load them where both are with `promtool tsdb "
            f"create-blocks-from openmetrics --max-block-duration=720h {file} DATA_FOLDER`"
        )
        return Replayed(run_id, "file", len(points), str(file), sentence)
    blocks = _create_blocks(promtool, text, folder)
    seen = "Prometheus shows them within a minute or so" if out is None else "move them into Prometheus' data folder"
    sentence = (
        f"{len(points)} points of run {run_id} written as {blocks} block{'s' * (blocks != 1)} to {folder}; {seen}"
    )
    return Replayed(run_id, "backfill", len(points), str(folder), sentence)


def openmetrics(points: Iterable[Point], target: dict[str, str]) -> str:
    """The points as an OpenMetrics exposition with timestamps.

    Args:
        points: of one run or of several.
        target: labels that the scrape would have added.
    """
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.metric.name, []).append(point)
    lines = []
    for name, members in families.items():
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {_escape(members[0].metric.help)}"]
        for point in sorted(members, key=lambda point: point.time):
            series = {**target, **label_values(point.labels)}
            labels = ",".join(f'{key}="{_escape(value)}"' for key, value in series.items())
            lines.append(f"{name}{{{labels}}} {_number(point.value)} {point.time:.3f}")
    return "\n".join([*lines, "# EOF", ""])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _create_blocks(promtool: Path, text: str, folder: Path) -> int:
    """Builds blocks beside the others and moves each in by one rename: Prometheus never sees half a block."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="catwalk-replay-", dir=folder) as work:
            file, built = Path(work) / "points", Path(work) / "blocks"
            file.write_text(text)
            command = [
                str(promtool),
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "--max-block-duration=720h",
                str(file),
                str(built),
            ]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PROMTOOL_TIMEOUT)
            if done.returncode:
                reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
                raise CatwalkError(f"promtool could not make blocks: {reason[-1]}")
            blocks = [path for path in built.iterdir() if (path / "meta.json").is_file()]
            for block in blocks:
                block.rename(folder / block.name)
            return len(blocks)
    except OSError as error:
        raise CatwalkError(f"blocks can't be written to {folder}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CatwalkError(
            f"promtool took more than {_PROMTOOL_TIMEOUT:.0f} s; is the disk of {folder} busy?"
        ) from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise CatwalkError(
            f"{file.absolute()} can't be written: {error.strerror}; name a folder with --out, or - for standard output"
        ) from error


def _scraped_labels() -> dict[str, str]:
    """What Prometheus' scrape of statsd_exporter adds to each series."""
    try:
        targets = _ask("targets?state=active")["activeTargets"]
        found = [target["labels"] for target in targets if target["labels"]["job"] == SCRAPE_JOB]
    except (OSError, ValueError, KeyError, TypeError):
        found = []
    return dict(found[0]) if found else {"job": SCRAPE_JOB, "instance": part_address("statsd_exporter")}


def _data_folder() -> Path | None:
    """Where the running Prometheus keeps its blocks, if that is on this machine."""
    try:
        folder = Path(_ask("status/flags")["storage.tsdb.path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if folder.is_absolute() and folder.is_dir() else None


def _ask(path: str) -> Any:
    base = part_url("prometheus")
    try:
        return json.loads(access.fetch(f"{base}/api/v1/{path}", timeout=_TIMEOUT))["data"]
    except OSError as error:
        if access.refused(error):
            # Blocks with guessed labels, or none at all, would be worse than to stop here.
            raise CatwalkError(access.complaint("Prometheus", base, "CATWALK_PROMETHEUS_URL", error)) from error
        raise
