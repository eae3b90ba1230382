"""What evaluating all rules costs in a real Prometheus that remembers many runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import TextIO

from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.run import STAGES
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.telemetry import catalogue
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import Snapshot
from ml.fashion_mnist.config import CLASSES
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.bench.measure import Measurement
from tests.support.ledgers import summary
from tests.support.recorded import create_blocks
from tests.support.servers import wait_until

RUNS = (10, 100, 1_000)
DAYS = 90
_DAY = 86_400.0
_UNTOUCHED = 3.2 * 3_600
"""The newest run ended this long ago, because promtool does not backfill the three hours that belong to the open head.
"""
_EPOCHS = 18
_INTERVAL = 10
"""Seconds between two scrapes."""
_EVALUATION = 5
"""Seconds between two evaluations: half of the shipped ten, so that the bench ends sooner."""
_BASELINES = {"run:scheduled_duration_seconds:final": 24, "run:scheduled_stage_duration_seconds:final": 12}
"""What rules read over 30 days → the samples that a run has of it, 300 s apart."""
_CHECKS = ("precondition", "accuracy_floor", "recall_floor", "calibration", "better", "class_regression")
_VALUES = {
    "split": ("train", "validation"),
    "epoch": tuple(map(str, range(1, _EPOCHS + 1))),
    "class": CLASSES,
    "true_class": CLASSES,
    "predicted_class": CLASSES,
    "stage": STAGES,
}


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """The summed duration of one evaluation of every group, and Prometheus' memory.

    Runs of the last day are stored as densely as they are scraped, and what rules read over 30 days as densely as it is
    recorded. Other families have two samples for each series; otherwise the files would take 20 GB.
    """
    found = []
    for count in RUNS:
        say(f"rules: {count:,} runs in {DAYS} days")
        with tempfile.TemporaryDirectory(prefix="catwalk-bench-") as folder:
            now = time.time()
            _backfill(Path(folder), count, now)
            with _prometheus(Path(folder), count, now) as url:
                durations = _durations(url, rounds)
                memory = _value(url, 'process_resident_memory_bytes{job="prometheus"}') / 2**20
        target = "under 250" if count == max(RUNS) else "-"
        found += [
            Measurement(f"evaluation of all rules, {count:,} runs in {DAYS} days", durations, " ms", target),
            Measurement(f"Prometheus' memory then, {count:,} runs", [memory], " MiB", "-"),
        ]
    return found


def _backfill(folder: Path, count: int, now: float) -> None:
    """Writes blocks of this number of scheduled runs, evenly spread."""
    text = folder / "runs.openmetrics"
    ended = [now - _UNTOUCHED - number * DAYS * _DAY / count for number in range(count)]
    with text.open("w") as file:
        for metric in _of_runs():
            _write(file, metric.name, metric.labels, [(end, _times(end, now)) for end in ended])
        for name, samples in _BASELINES.items():
            labels = ("stage",) if "stage" in name else ()
            _write(file, name, labels, [(end, range(0, 300 * samples, 300)) for end in ended])
        file.write("# EOF\n")
    create_blocks(text, folder / "data")
    text.unlink()


def _times(end: float, now: float) -> range:
    """Seconds after a run's end at which Prometheus scrapes its gauges; statsd_exporter shows them for an hour."""
    return range(0, 3_600 if end > now - _DAY else 2 * _INTERVAL, _INTERVAL)


def _write(file: TextIO, name: str, labels: Iterable[str], runs: Iterable[tuple[float, range]]) -> None:
    """Writes all samples of one family, for runs that ended at these times and have samples at these offsets."""
    file.write(f"# TYPE {name} gauge\n")
    names = [label for label in labels if label in _VALUES]
    for number, (end, times) in enumerate(runs):
        for values in product(*(_VALUES[label] for label in names)):
            every = {"run_id": f"run{number}", "model": "mlp", **dict(zip(names, values, strict=True))}
            if ":" not in name:  # what rules record has no target
                every |= {"job": "statsd_exporter", "instance": "statsd_exporter:1"}
            inner = ",".join(f'{label}="{value}"' for label, value in every.items())
            value = every["epoch"] if name == catalogue.EPOCH_INDEX.name else "0.5"
            file.writelines(f"{name}{{{inner}}} {value} {end + seconds:.0f}\n" for seconds in times)


@contextmanager
def _prometheus(folder: Path, count: int, now: float) -> Iterator[str]:
    """Starts a Prometheus with the committed rules over the blocks.

    It scrapes itself, an exporter of these runs, and a statsd_exporter that shows the gauges of one run.
    """
    with _page(_exporter(count, now)) as exporter, _page(_statsd_exporter()) as statsd_exporter:
        port = free_port()
        shutil.copytree(PROJECT / "prometheus" / "rules", folder / "rules")
        # A group that is evaluated less often counts as if it ran each time.
        for path in (folder / "rules").glob("*.recording.yml"):
            path.write_text(re.sub(r"interval: \w+", f"interval: {_EVALUATION}s", path.read_text()))
        targets = {"prometheus": port, "exporter": exporter, "statsd_exporter": statsd_exporter}
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]} for name, at in targets.items()
        ]
        config = {
            "global": {"scrape_interval": f"{_INTERVAL}s", "evaluation_interval": f"{_EVALUATION}s"},
            "rule_files": ["rules/*.yml"],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        command = [
            str(tool("prometheus")),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=400d",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready"))
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


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


def _statsd_exporter() -> bytes:
    """Returns what statsd_exporter exports in the hour after a run."""
    lines = []
    for metric in _of_runs():
        names = [label for label in metric.labels if label in _VALUES]
        for values in product(*(_VALUES[label] for label in names)):
            every = {"run_id": "run0", "model": "mlp", **dict(zip(names, values, strict=True))}
            inner = ",".join(f'{label}="{value}"' for label, value in every.items())
            value = every["epoch"] if metric is catalogue.EPOCH_INDEX else "0.5"
            lines.append(f"{metric.name}{{{inner}}} {value}\n")
    return "".join(lines).encode()


def _of_runs() -> list[catalogue.Metric]:
    """Returns the families that a run sends by StatsD."""
    return [m for m in catalogue.METRICS if m.labels[:2] == ("run_id", "model") and m.transport == "statsd"]


def _exporter(count: int, now: float) -> bytes:
    """Returns what the exporter exports while the ledger holds this number of runs."""
    checks = [CheckRecord(check, "passed", 0.5, 0.4, 0.3, 0.6, "It is so.") for check in _CHECKS]
    runs: list[SummaryRecord] = []
    for number in reversed(range(count)):
        end = now - 600 - number * DAYS * _DAY / count
        runs.append(summary(f"run{number}", started=end - 60, updated=end, finished=end, checks=checks))
    champion = ChampionRecord("mlp", "run0", "a" * 64, now - 600, "", "run0", "gate", "floors")
    snapshot = Snapshot(tuple(runs), (champion,), {"run0": 490})
    return Exposition(Settings()).render(Facts(snapshot, True, {"scheduler": True}, 1, now))


def _durations(url: str, rounds: int) -> list[float]:
    """Returns the milliseconds of evaluations of every group, without the first ones, which open the blocks."""
    total = "sum(prometheus_rule_group_last_duration_seconds)"
    wait_until(lambda: _value(url, "min(prometheus_rule_group_iterations_total)") > 2)
    wait_until(lambda: _value(url, "model:baseline_runs:count30d") > 0, "a baseline of the runs that were stored")
    found = []
    for _ in range(rounds):
        time.sleep(_EVALUATION)
        found.append(1_000 * _value(url, total))
    return found


def _value(url: str, expression: str) -> float:
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}") as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0
