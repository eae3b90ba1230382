"""What many runs cost readers of the ledger, and how that grows with their number. Three models share the ledger."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from catwalk.ledger import summary_index
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.summaries import WATCHED_SECONDS, Summaries
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.service import Exporter, Server
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.bench.measure import Measurement
from tests.support.ledgers import make_run, put_summary, summary
from tests.support.servers import ENVIRONMENT, S3Server, wait_until

SIZES = (100, 1_000, 10_000)
MODELS = ("mlp", "churn", "demand")
_COMPARED = 50
_SCRAPES = 20
CATWALK = str(PROJECT / ".venv" / "bin" / "catwalk")
_EVERY, _PLAIN = [CATWALK, "runs", "--sort", "-test_accuracy"], [CATWALK, "runs"]
_CHECK = CheckRecord("better", "passed", 0.01, 0.0, -0.01, 0.03, "A sentence about as long as the gate's are. " * 3)
_TOLD = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_024)
"""
"""Uses a small process of its own: Linux reports at least the parent's peak as a program's peak."""
_PROMISES: dict[str, tuple[str, dict[int, str]]] = {
    "the very first reader of a store, without an index": (" s", {}),
    "`catwalk runs`, a new process": (" s", {10_000: "under 3"}),
    "`catwalk runs --sort …`, a new process, which reads all": (" s", {1_000: "under 2", 10_000: "under 3"}),
    "its memory": (" MiB", {10_000: "under 300"}),
    "reading again, as the exporter does": (" s", {1_000: "under 0.5", 10_000: "under 0.5"}),
    "the exporter's refresh: reading again and rendering": (" s", {10_000: "under 2"}),
    "its rendering alone": (" ms", {}),
    "a scrape of the exporter": (" ms", {10_000: "under 50"}),
    "a page of the exporter's list of runs, searched and sorted": (" ms", {10_000: "under 300"}),
}
"""What is measured → its unit, and the promise at each size."""


@dataclass
class _Times:
    """Readings at one size, by name."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def rows(self, size: int) -> list[Measurement]:
        found = []
        for name, (unit, promises) in _PROMISES.items():
            found.append(Measurement(f"{size:,} runs: {name}", self.values[name], unit, promises.get(size, "-")))
        return found


def measure(repetitions: int, say: Callable[[str], None]) -> list[Measurement]:
    """Fills a store with summaries of the usual size, and reads them in every way."""
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        server = S3Server(Path(folder))
        server.start()
        try:
            os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": server.url})
            store = S3Store(f"s3://{server.bucket()}")
            os.environ["CATWALK_STORE"] = store.url
            for before, size in zip((0, *SIZES), SIZES, strict=False):
                say(f"runs: {size:,}")
                _fill(store, before, size)
                found += _read(store, repetitions if size <= 1_000 else 2).rows(size)
            found.append(_comparison(store, Path(folder), size))
        finally:
            server.stop()
    return found


def _fill(store: Store, start: int, stop: int) -> None:
    """One run an hour, of each model in turn, all too old for anyone to count their points."""
    newest = time.time() - 2 * WATCHED_SECONDS

    def put(number: int) -> None:
        ended = newest - 3_600 * (max(SIZES) - number)
        run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(ended - 60))}-{number:08x}"
        times = {"started": ended - 60, "updated": ended, "finished": ended}
        values = {"checks": [_CHECK] * 9, "parameters": RunConfig().flat(), "test_accuracy": 0.9 + number / 1e6}
        put_summary(store, summary(run_id, model=MODELS[number % len(MODELS)], **times, **values))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(start, stop)))


def _read(store: Store, repetitions: int) -> _Times:
    times, reader, exporter = _Times(), Summaries(store), LedgerReader(store)
    exposition, seen = Exposition(Settings()), [Snapshot()]
    reader.read()
    exporter.read(time.time(), seen.append)
    for _ in range(repetitions):
        store.delete(summary_index.KEY)
        times.add("the very first reader of a store, without an index", _seconds(Summaries(store).read))
        times.add("`catwalk runs`, a new process", _command(store, _PLAIN)[0])
        seconds, memory = _command(store, _EVERY)
        times.add("`catwalk runs --sort …`, a new process, which reads all", seconds)
        times.add("its memory", memory)
        times.add("reading again, as the exporter does", _seconds(reader.read))
        refresh = _seconds(lambda: exporter.read(time.time(), seen.append))
        facts = Facts(seen[-1], True, {}, None, time.time())
        rendering = _seconds(lambda: exposition.render(facts))  # noqa: B023
        times.add("the exporter's refresh: reading again and rendering", refresh + rendering)
        times.add("its rendering alone", 1_000 * rendering)
    for scrape, page in _answers():
        times.add("a scrape of the exporter", scrape)
        times.add("a page of the exporter's list of runs, searched and sorted", page)
    return times


def _answers() -> list[tuple[float, float]]:
    """Returns the milliseconds of each scrape and of each list, from an exporter that keeps reading the store."""
    exporter = Exporter(Settings(), 1.0, None)
    server = Server(("127.0.0.1", 0), exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exporter.start()
    try:
        wait_until(lambda: exporter.text and b"catwalk_last_success" in exporter.text, "the first reading")
        url = f"http://127.0.0.1:{server.server_address[1]}"
        asked = [
            (f"{url}/metrics", b"catwalk_store_up 1.0"),
            (f"{url}/?q=2026&sort=-test", b"Compare selected"),
        ]
        return [tuple(1_000 * _seconds(lambda: _get(*one)) for one in asked) for _ in range(_SCRAPES)]  # noqa: B023
    finally:
        exporter.stop()
        server.shutdown()
        server.server_close()


def _get(page: str, expected: bytes) -> None:
    with urllib.request.urlopen(page) as answer:
        assert expected in answer.read()


def _comparison(store: Store, folder: Path, size: int) -> Measurement:
    """Measures the newest runs, started by hand, with 20 epochs each."""
    newest = time.time() - WATCHED_SECONDS
    for number in range(_COMPARED):
        started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(newest + number))
        make_run(store, f"{started}-{number:08x}", newest + number, epochs=20)
    chosen = ["--where", "trigger = cli", "--limit", str(_COMPARED), "--out", str(folder / "comparison.html")]
    seconds = [_command(store, [CATWALK, "compare", *chosen])[0] for _ in range(2)]
    return Measurement(f"{size:,} runs: `catwalk compare` of {_COMPARED} of them", seconds, " s", "under 10")


def _command(store: Store, command: list[str]) -> tuple[float, float]:
    """Returns the seconds and the peak MiB of a process that reads the store."""
    environment = {**os.environ, "CATWALK_STORE": store.url}
    told = subprocess.run([sys.executable, "-c", _TOLD, *command], env=environment, check=True, stdout=subprocess.PIPE)
    seconds, memory = map(float, told.stdout.split())
    return seconds, memory


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
