"""What many runs cost readers of the ledger: the command line, the exporter and its pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from catwalk.codec import to_json
from catwalk.ledger import summary_index
from catwalk.ledger.runs import summary_key
from catwalk.ledger.summaries import Summaries
from catwalk.storage.store import Store
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT
from tests.bench.many_runs.history import Past, champions
from tests.bench.many_runs.templates import STAGED
from tests.support.servers import wait_until

COMPARED = 50
_WHOLE = 150
"""The newest runs, of which the ledger has everything that a comparison reads: 50 of each model."""
_READ = re.compile(r".+\.json|(predictions|outcome)\.safetensors")
_SCRAPES = 20
CATWALK = str(PROJECT / ".venv" / "bin" / "catwalk")
_TOLD = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
wall, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1_024)
"""
"""Runs in a small process of its own: Linux reports at least the parent's peak as a program's peak."""
FIRST = "the very first read of a store, which makes the index"
COLD, SORTED = "`catwalk runs` cold: a new process, no index", "`catwalk runs --sort …`: a new process, which reads all"
MEMORY, WARM = "its memory", "`catwalk runs` warm: a reader that continues reads again"
REFRESH, RENDERING = "the exporter's refresh: reading again and rendering", "its rendering alone"
SCRAPE, PAGE = "a scrape of the exporter, which refreshes each second", "its list of runs, searched and sorted"
EXPORTER, COMPARISON = "the exporter's memory", f"`catwalk compare` of {COMPARED} runs"
PROMISES = {
    FIRST: (" s", "-"),
    COLD: (" s", "at most 3"),
    SORTED: (" s", "at most 3"),
    MEMORY: (" MiB", "at most 300"),
    WARM: (" s", "at most 0.5"),
    REFRESH: (" s", "at most 2"),
    RENDERING: (" ms", "-"),
    SCRAPE: (" ms", "at most 50"),
    PAGE: (" ms", "-"),
    EXPORTER: (" MiB", "at most 300"),
    COMPARISON: (" s", "at most 10"),
}
"""What is measured → its unit, and the promise at 10,000 runs."""


def measure(store: Store, runs: Sequence[Past], rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Fills an empty store, and reads it in every way."""
    _fill(store, runs)
    say(f"  {len(runs):,} runs stored at {store.url}")
    found: dict[str, list[float]] = {FIRST: [_seconds(Summaries(store).read)]}
    index = store.get(summary_index.KEY).body if store.exists(summary_index.KEY) else b""
    store.delete(summary_index.KEY)
    found[COLD] = [_command(store, say, "runs")[0] for _ in range(rounds)]
    if index:
        store.put(summary_index.KEY, index)
    read = [_command(store, say, "runs", "--sort", "-started") for _ in range(rounds)]
    found[SORTED], found[MEMORY] = ([one[part] for one in read] for part in (0, 1))
    found |= _reading(store, rounds) | _answering(store)
    found[COMPARISON] = [_compare(store, say)]
    return found


def _fill(store: Store, runs: Sequence[Past]) -> None:
    """Stores every summary, the newest runs as a whole, and what is stored per model."""
    objects: dict[str, bytes] = {}
    for model, run in champions(runs).items():
        objects |= run.template.datasets
        objects[f"champions/{model}.json"] = to_json(run.champion)
        if run.template.known:
            objects[f"models/{model}.json"] = to_json(run.template.known)
    for run in runs[-_WHOLE:]:
        whole = run.template.copy(run.run_id)
        objects |= {key: body for key, body in whole.items() if _READ.fullmatch(key.rpartition("/")[2])}
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(store.put, key, body) for key, body in objects.items()]:
            done.result()
        list(pool.map(lambda run: store.put(summary_key(run.run_id), to_json(run.summary)), runs))


def _reading(store: Store, rounds: int) -> dict[str, list[float]]:
    """Returns the times of readers that continue."""
    reader, exporter, seen = Summaries(store), LedgerReader(store), [Snapshot()]
    exposition, found = Exposition(Settings()), dict[str, list[float]]({WARM: [], REFRESH: [], RENDERING: []})
    reader.read()
    exporter.read(time.time(), seen.append)
    for _ in range(rounds):
        found[WARM].append(_seconds(reader.read))
        refresh = _seconds(lambda: exporter.read(time.time(), seen.append))
        facts = Facts(seen[-1], True, {}, None, time.time())
        rendering = _seconds(lambda: exposition.render(facts))  # noqa: B023
        found[REFRESH].append(refresh + rendering)
        found[RENDERING].append(1_000 * rendering)
    return found


def _answering(store: Store) -> dict[str, list[float]]:
    """Returns the milliseconds of answers of an exporter that keeps reading, and its memory."""
    with _exporter(store) as (process, url):
        scrapes, pages = [], []
        for _ in range(_SCRAPES):
            scrapes.append(1_000 * _seconds(lambda: _get(f"{url}/metrics", b"catwalk_store_up 1.0")))
            pages.append(1_000 * _seconds(lambda: _get(f"{url}/?q=2&sort=-test", b"Compare selected")))
            time.sleep(0.05)  # so that the answers are spread over several refreshes
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert peak
        return {SCRAPE: scrapes, PAGE: pages, EXPORTER: [int(peak[1]) / 1_024]}


@contextmanager
def _exporter(store: Store) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [sys.executable, "-m", "catwalk_exporter", "--port", str(port), "--refresh", "1"]
    environment = {**os.environ, "CATWALK_STORE": store.url}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: get(f"http://127.0.0.1:{port}/healthz"), "the exporter has read the ledger")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _get(page: str, expected: bytes) -> None:
    with urllib.request.urlopen(page) as answer:
        assert expected in answer.read()


def _compare(store: Store, say: Callable[[str], None]) -> float:
    """Compares the newest runs of the classifier."""
    chosen = ["--where", f"model = {STAGED}", "--limit", str(COMPARED)]
    with tempfile.TemporaryDirectory() as folder:
        return _command(store, say, "compare", *chosen, "--out", folder)[0]


def _command(store: Store, say: Callable[[str], None], *arguments: str) -> tuple[float, float]:
    """Returns the seconds and the peak MiB of a `catwalk` process that reads the store."""
    command = [sys.executable, "-c", _TOLD, CATWALK, *arguments]
    environment = {**os.environ, "CATWALK_STORE": store.url}
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    seconds, used, memory = map(float, told.stdout.split())
    say(f"    {seconds:.2f} s, {used:.2f} s of CPU, {memory:.0f} MiB: catwalk {' '.join(arguments)[:40]}")
    return seconds, memory


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
