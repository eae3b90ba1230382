"""How long it takes to list runs, and how that grows with their number."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catwalk.ledger import summary_index
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.summaries import Summaries
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.bench.measure import Measurement
from tests.support.ledgers import put_summary, summary
from tests.support.servers import ENVIRONMENT, S3Server

SIZES = (100, 1_000, 10_000)
COMMAND = [str(PROJECT / ".venv" / "bin" / "catwalk"), "runs", "--sort", "-test_accuracy"]
_CHECK = CheckRecord("better", "passed", 0.01, 0.0, -0.01, 0.03, "A sentence about as long as the gate's are. " * 3)


def measure(repetitions: int, say: Callable[[str], None]) -> list[Measurement]:
    """Fills a store of its own with summaries of the usual size, and lists them."""
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        server = S3Server(Path(folder))
        server.start()
        try:
            os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": server.url})
            store = S3Store(f"s3://{server.bucket()}")
            written = 0
            for size in SIZES:
                say(f"listing {size:,} runs")
                _fill(store, written, size)
                written = size
                found += _listings(store, size, repetitions)
        finally:
            server.stop()
    return found


def _fill(store: Store, start: int, stop: int) -> None:
    def put(number: int) -> None:
        run_id = f"2026{1 + number // 1_000:02d}01T{number // 60 % 24:02d}{number % 60:02d}00Z-{number:08x}"
        checks, knobs = [_CHECK] * 9, RunConfig().flat()
        put_summary(store, summary(run_id, checks=checks, parameters=knobs, test_accuracy=0.9 + number / 1e6))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(start, stop)))


def _listings(store: Store, size: int, repetitions: int) -> list[Measurement]:
    name = f"listing {size:,} runs"
    promises = {1_000: ("under 2", "under 0.5")}.get(size, ("-", "-"))
    firsts, commands, again = [], [], []
    reader = Summaries(store)
    for _ in range(repetitions if size <= 1_000 else 2):
        store.delete(summary_index.KEY)
        firsts.append(_seconds(lambda: Summaries(store).read()))
        environment = {**os.environ, "CATWALK_STORE": store.url}
        commands.append(
            _seconds(lambda: subprocess.run(COMMAND, env=environment, stdout=subprocess.DEVNULL, check=True))  # noqa: B023
        )
        reader.read()
        again.append(_seconds(reader.read))
    return [
        Measurement(f"{name}: the very first reader of a store, without an index", firsts, " s", "-"),
        Measurement(f"{name}: the whole command `catwalk runs --sort …`", commands, " s", promises[0]),
        Measurement(f"{name}: reading again, as the exporter does", again, " s", promises[1]),
    ]


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
