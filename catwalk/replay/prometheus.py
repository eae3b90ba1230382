"""Replay's requests to Prometheus' API: the series of a run, the scrape of statsd_exporter, the data folder."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

from catwalk.clients import access
from catwalk.environment.parts import part_address, part_url
from catwalk.errors import CatwalkError

SCRAPE_JOB = "statsd_exporter"
"""statsd_exporter's job name in prometheus.yml."""
UNKNOWN = (OSError, ValueError, KeyError, TypeError)
"""The errors of a request if there is no answer, or not from a Prometheus."""
_TIMEOUT = 5.0


def series_of(run_id: str) -> int:
    """Returns how many series of a run Prometheus has had within a day.

    Raises:
        UNKNOWN: it does not answer.
        CatwalkError: it refuses the password.
    """
    query = f'count(last_over_time({{__name__=~"ml_.+", run_id="{run_id}"}}[1d]))'
    result = _ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
    return int(result[0]["value"][1]) if result else 0


def scraped_labels() -> dict[str, str]:
    """Returns the labels that Prometheus' scrape of statsd_exporter adds to each series."""
    try:
        targets = _ask("targets?state=active")["activeTargets"]
        found = [target["labels"] for target in targets if target["labels"]["job"] == SCRAPE_JOB]
    except UNKNOWN:
        found = []
    return dict(found[0]) if found else {"job": SCRAPE_JOB, "instance": part_address("statsd_exporter")}


def data_folder() -> Path | None:
    """Returns the folder with the blocks of the running Prometheus, if it is on this machine."""
    try:
        folder = Path(_ask("status/flags")["storage.tsdb.path"])
    except UNKNOWN:
        return None
    return folder if folder.is_absolute() and folder.is_dir() else None


def _ask(path: str) -> Any:
    base = part_url("prometheus")
    try:
        return json.loads(access.fetch(f"{base}/api/v1/{path}", timeout=_TIMEOUT))["data"]
    except OSError as error:
        if access.refused(error):
            # Blocks with guessed labels, or no blocks, would be worse than an error here.
            raise CatwalkError(access.complaint("Prometheus", base, "CATWALK_PROMETHEUS_URL", error)) from error
        raise
