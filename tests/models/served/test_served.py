"""Services as users write them, with a monitor: real servers, many threads, and figures that add up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import catwalk
from stack.ports import free_port
from stack.settings import PROJECT
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
from tests.support.servers import wait_for_port

FOLDER = Path(__file__).parent
REQUESTS, THREADS = 200, 8
_TIMEOUT = 60

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["asgi.py", "wsgi.py"])
def test_it_takes_twelve_statements_at_most(name: str) -> None:
    marked = [line for line in (FOLDER / name).read_text().splitlines() if line.endswith("# watch")]
    assert 0 < len(marked) <= 12


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger with a champion that has a reference; yields the champion's run."""
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    random = np.random.default_rng(1)
    inputs = {"age": random.normal(size=2_000), "calls": random.normal(size=2_000)}
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.model(b"a model")
        run.reference(inputs, random.random(2_000))
        run.test(LABELS, scores(), keys=KEYS)
    assert run.decision and run.decision.decision == "ship"
    return run.run_id


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT), **environment}
    )
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(_TIMEOUT)


def ask(url: str, body: Any) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Name, and the values of side, feature and bin if there are any → value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name.startswith("catwalk_"):
            parts = [sample.labels[label] for label in ("version", "side", "feature", "bin") if label in sample.labels]
            found[sample.name, *parts] = sample.value
    return found


def of(series: dict[tuple[str, ...], float], *start: str) -> float:
    """Returns the sum of all series with this prefix."""
    return sum(value for name, value in series.items() if name[: len(start)] == start)


def test_in_starlette(shipped: str) -> None:
    port = free_port()
    with running(["-m", "uvicorn", "tests.models.served.asgi:app", "--port", str(port)], port):
        bodies = [{"age": 0.1, "calls": number / REQUESTS} for number in range(REQUESTS)]
        bodies += [{"age": 0.1, "calls": None}, {"age": 0.1}]
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(lambda body: ask(f"http://127.0.0.1:{port}/predict", body), bodies))
        series = scraped(port)
    assert sorted(answers) == [200] * REQUESTS + [422] * 2
    assert of(series, "catwalk_service_predictions_total", shipped) == REQUESTS
    assert of(series, "catwalk_service_errors_total", shipped) == 2
    assert of(series, "catwalk_service_duration_seconds_count", shipped) == REQUESTS + 2
    for side, feature in (("input", "age"), ("input", "calls"), ("prediction", "score")):
        assert of(series, "catwalk_service_bin_total", shipped, side, feature) == REQUESTS
        assert of(series, "catwalk_reference_bin_examples", shipped, side, feature) == 2_000
    assert series["catwalk_service_memory_bytes", shipped] < series["catwalk_service_memory_limit_bytes", shipped]


def test_in_a_threaded_wsgi_server(shipped: str) -> None:
    port, metrics = free_port(), free_port()
    command = [str(FOLDER / "wsgi.py")]
    with running(command, port, PORT=str(port), METRICS_PORT=str(metrics)):
        batches = [[[0.0, 0.5], [2.0, number]] for number in range(REQUESTS)] + [[[1.0]]]
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(lambda rows: ask(f"http://127.0.0.1:{port}/", rows), batches))
        series = scraped(metrics)
    assert sorted(answers) == [200] * REQUESTS + [422]
    assert of(series, "catwalk_service_predictions_total", shipped) == 2 * REQUESTS
    assert of(series, "catwalk_service_errors_total", shipped) == 1
    assert of(series, "catwalk_service_bin_total", shipped, "input", "calls") == 2 * REQUESTS
