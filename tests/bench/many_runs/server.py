"""A real Prometheus with a history of many runs, the committed rules, and targets that show the newest runs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any

from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import Snapshot
from stack.ports import free_port
from stack.settings import PROJECT
from tests.bench.many_runs.history import DAY, DAYS, Past, champions
from tests.bench.many_runs.series import HOUR, SCRAPE, always, pages, statsd_lines, write
from tests.support.recorded import create_blocks, over_blocks
from tests.support.servers import wait_until

BLOCK = 486 * HOUR
"""Prometheus' block size below the 720 hours that promtool gets, so that each block's file is read once."""
UNTOUCHED = 3.2 * HOUR
"""promtool does not backfill the three hours that belong to the open head: runs of these are scraped."""
_RULES_SECONDS = 1
"""Seconds between two evaluations while rules are measured, so that the bench ends sooner."""


def backfill(folder: Path, runs: Sequence[Past], now: int) -> int:
    """Writes the blocks, several at a time; returns the number of samples."""
    until = int(now - UNTOUCHED) // SCRAPE * SCRAPE
    begin = min(now - DAYS * DAY, int(runs[0].started))
    starts = range(begin // BLOCK * BLOCK, until, BLOCK)
    with ProcessPoolExecutor() as pool:
        return sum(pool.map(partial(_block, folder, runs, now, until), starts))


def _block(folder: Path, runs: Sequence[Past], now: int, until: int, start: int) -> int:
    text = folder / f"{start}.openmetrics"
    stop = min(until, start + BLOCK)
    samples = write(chain(always(now), pages(runs, now, start, stop)), start, stop, text)
    create_blocks(text, folder / "data")
    text.unlink()
    return samples


@dataclass
class Server:
    """The running Prometheus."""

    url: str
    _folder: Path
    _process: subprocess.Popen[bytes]

    def rules(self, rounds: int, say: Callable[[str], None]) -> list[float]:
        """Returns the milliseconds of evaluations of every group, without the first ones, which open the blocks."""
        wait_until(lambda: self.value("min(prometheus_rule_group_iterations_total)") > 2)
        wait_until(lambda: self.value("min(model:baseline_runs:count30d)") > 0, "baselines of what was stored")
        found = []
        for _ in range(rounds):
            time.sleep(2 * _RULES_SECONDS)
            groups = [(1_000 * group["evaluationTime"], group["name"]) for group in self._get("rules")["groups"]]
            found.append(sum(milliseconds for milliseconds, _ in groups))
        for milliseconds, name in nlargest(6, groups):
            say(f"    {milliseconds:6.1f} ms  {name}")
        return found

    def slow_down(self) -> None:
        """Evaluates the rules as often as shipped."""
        _configure(self._folder, SCRAPE)
        self._process.send_signal(signal.SIGHUP)
        loaded = "max(prometheus_rule_group_interval_seconds) > 100"
        wait_until(lambda: self.value(loaded), "the shipped intervals")

    def value(self, expression: str) -> float:
        """Returns the value of the only series; 0 if there is none."""
        found = self._get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def _get(self, name: str, **parameters: str) -> dict[str, Any]:
        """Returns the data of an answer of the API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{name}?{urllib.parse.urlencode(parameters)}") as answer:
            return dict(json.load(answer)["data"])


def _configure(folder: Path, evaluation: int, targets: dict[str, int] | None = None) -> None:
    """Writes the configuration. While rules are measured, a group that is evaluated less often runs as often as all."""
    shutil.rmtree(folder / "rules", ignore_errors=True)
    shutil.copytree(PROJECT / "prometheus" / "rules", folder / "rules")
    if targets is None:
        config = json.loads((folder / "prometheus.yml").read_text())
    else:
        for path in (folder / "rules").glob("*.recording.yml"):
            path.write_text(re.sub(r"interval: \w+", f"interval: {evaluation}s", path.read_text()))
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]} for name, at in targets.items()
        ]
        config = {"rule_files": ["rules/*.yml"], "scrape_configs": jobs}
    config["global"] = {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{evaluation}s"}
    (folder / "prometheus.yml").write_text(json.dumps(config))


@contextmanager
def serving(folder: Path, runs: Sequence[Past], now: float) -> Iterator[Server]:
    """Starts it over the blocks. It scrapes itself, an exporter of all runs, and a statsd_exporter of those of the last
    hour, or of the newest run.
    """
    recent = [run for run in runs if run.ended > now - HOUR] or runs[-1:]
    shown = "".join(line for run in recent for line in statsd_lines(run.template, run.run_id))
    with _page(_exporter(runs, now)) as exporter, _page(shown.encode()) as statsd_exporter:
        port = free_port()
        _configure(
            folder, _RULES_SECONDS, {"prometheus": port, "exporter": exporter, "statsd_exporter": statsd_exporter}
        )
        with over_blocks(folder, port) as process:
            yield Server(f"http://127.0.0.1:{port}", folder, process)


def _exporter(runs: Sequence[Past], now: float) -> bytes:
    """Returns what the exporter exports while the ledger holds these runs."""
    serving = champions(runs)
    known = tuple(run.template.known for run in serving.values() if run.template.known)
    promoted = tuple(run.champion for run in serving.values())
    counted = {run.run_id: len(run.template.points) for run in runs if run.ended > now - DAY / 2}
    snapshot = Snapshot(tuple(run.summary for run in runs), promoted, counted, models=known)
    return Exposition(Settings()).render(Facts(snapshot, True, {"scheduler": True}, 1, now))


@contextmanager
def _page(text: bytes) -> Iterator[int]:
    """Serves one text on a free port."""
    handler = partial(_Page, text)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class _Page(BaseHTTPRequestHandler):
    """Serves one text."""

    def __init__(self, text: bytes, *arguments: object) -> None:
        self._text = text
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self._text)

    def log_message(self, format: str, *args: object) -> None:
        """Does not log requests."""
