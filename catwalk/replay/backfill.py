"""Writes a run's points as Prometheus blocks, one sample per series at its true time.

Every `last_over_time` window that covers this time finds it, and tables and panels read per-run series that way. The
samples have the labels `job` and `instance` of statsd_exporter's scrape, so that they continue the scraped series.

Blocks must not overlap the last three hours, which are still in Prometheus' open head. Prometheus picks up new blocks
in its data folder automatically, within about a minute.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catwalk.environment.checkout import find_tool
from catwalk.errors import CatwalkError
from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.prometheus import data_folder, scraped_labels
from catwalk.telemetry.points import Point

_PROMTOOL_TIMEOUT = 600.0


@dataclass(frozen=True)
class Written:
    """The result of writing the points."""

    transport: Literal["backfill", "file"]
    """Blocks, or one OpenMetrics file if there is no promtool, or no data folder to load blocks into."""
    where: Path
    sentence: str


def backfill(run_id: str, points: list[Point], out: Path | None) -> Written:
    """Writes the blocks of one run.

    Args:
        run_id: The run.
        points: All its points.
        out: The folder for the blocks; None for Prometheus' data folder.

    Raises:
        CatwalkError: they can't be written.
    """
    text = openmetrics(points, scraped_labels())
    folder = out or data_folder()
    promtool = find_tool("promtool")
    if folder is None or promtool is None:
        file = (out or Path()) / f"{run_id}.openmetrics"
        _write(file, text)
        missing = (
            "promtool is not on the PATH" if promtool is None else "Prometheus' data folder is not on this machine"
        )
        sentence = (
            f"{missing}: wrote {len(points)} points to {file}; load them on a machine that has both with `promtool "
            "tsdb "
            f"create-blocks-from openmetrics --max-block-duration=720h {file} DATA_FOLDER`"
        )
        return Written("file", file, sentence)
    blocks = _create_blocks(promtool, text, folder)
    seen = "Prometheus shows them within about a minute" if out is None else "move them into Prometheus' data folder"
    sentence = (
        f"{len(points)} points of run {run_id} written as {blocks} block{'s' * (blocks != 1)} to {folder}; {seen}"
    )
    return Written("backfill", folder, sentence)


def _create_blocks(promtool: Path, text: str, folder: Path) -> int:
    """Builds blocks in a temporary folder and renames each into place, so Prometheus never sees a partial block."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="catwalk-replay-", dir=folder) as work:
            file, built = Path(work) / "points", Path(work) / "blocks"
            file.write_text(text)
            _run_promtool(promtool, file, built)
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


def _run_promtool(promtool: Path, file: Path, built: Path) -> None:
    arguments = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h", str(file), str(built)]
    done = subprocess.run(
        [str(promtool), *arguments], check=False, capture_output=True, text=True, timeout=_PROMTOOL_TIMEOUT
    )
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise CatwalkError(f"promtool could not create blocks: {reason[-1]}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise CatwalkError(
            f"{file.absolute()} can't be written: {error.strerror}; name a folder with --out, or - for standard output"
        ) from error
