"""What `catwalk serve` costs beside a plain FastAPI app with the same model, and what a swap costs its clients."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from catwalk.environment.cpus import usable_cpus
from catwalk.gate.promotion import promote_by_hand
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.opening import open_store
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from stack.ports import free_port
from stack.settings import PROJECT
from tests.bench.crowded import busy_programs
from tests.bench.measure import Measurement
from tests.support.commands import unset_settings
from tests.support.runs import decided
from tests.support.servers import wait_until
from tests.support.serving import Server, serving
from tests.support.small import SMALL

CLIENTS = 8
REQUESTS = 500
"""Requests of one round of the comparison. Rounds are short and take turns, so that other load affects both sides
equally.
"""
STARTS = 5
"""How often both processes are started: two processes of one program differ by more than two rounds of one."""
SWAP_REQUESTS = 10_000
CROWDED = ", beside as many busy programs as there are cores"
RECIPE = {**SMALL, "hidden": "512,512", "epochs": 2, "train_examples": 2_000}
"""The network is as large as the default one, because its size determines what a request costs."""
_STARTING = 0.3
"""Seconds until the busy programs have started."""
_TIMEOUT = 60


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures throughput and latencies as a ratio, in turns; then a swap under load."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        patch.setenv("CATWALK_STORE", (Path(folder) / "ledger").as_uri())
        patch.setenv("CATWALK_HOME", str(Path(folder) / "home"))
        say("two versions of a model to serve")
        versions = [_version(seed) for seed in (1, 2)]
        say(f"{rounds} rounds of {REQUESTS:,} requests to it and to a plain app, in turns, alone and crowded")
        alone: list[tuple[Round, Round]] = []
        crowded: list[tuple[Round, Round]] = []
        for _ in range(STARTS):
            with _serving(versions[0]) as server, _plain(versions[0]) as plain:
                for number in range(rounds // STARTS):
                    alone.append(_both(server.url, plain, number))
                    with busy_programs(usable_cpus()):
                        time.sleep(_STARTING)
                        crowded.append(_both(server.url, plain, number))
        rows = [*_compared(alone, ""), *_compared(crowded, CROWDED)]
        with _serving(versions[0]) as server:
            say(f"two swaps under {SWAP_REQUESTS:,} requests, the second one crowded")
            rows += _swapped(server, versions[1], "")
            with busy_programs(usable_cpus()):
                return [*rows, *_swapped(server, versions[0], CROWDED)]


class Round:
    """What the clients measured."""

    def __init__(self, started: list[float], seconds: list[float], failed: int) -> None:
        self.started, self.seconds, self.failed = np.array(started), np.array(seconds), failed

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.seconds) / float((self.started + self.seconds).max() - self.started.min())

    def quantile(self, share: float) -> float:
        """Seconds."""
        return float(np.quantile(self.seconds, share))


def _both(ours: str, plain: str, number: int) -> tuple[Round, Round]:
    """Loads both, the other one first in every other round."""
    found = {url: _load(url, REQUESTS) for url in ((plain, ours) if number % 2 else (ours, plain))}
    return found[ours], found[plain]


def _compared(pairs: list[tuple[Round, Round]], beside: str) -> list[Measurement]:
    """Returns the server's figures divided by the plain app's, round by round."""
    name = f"`/predict` of one picture, {CLIENTS} clients: {{}}, catwalk serve ÷ a plain FastAPI app{beside}"
    return [
        Measurement(name.format("requests a second"), [ours.rate / plain.rate for ours, plain in pairs], "", "≥ 0.9"),
        *(
            Measurement(
                name.format(f"p{share:.0%}".rstrip("%")),
                [ours.quantile(share) / plain.quantile(share) for ours, plain in pairs],
                "",
                "≤ 1.1",
            )
            for share in (0.5, 0.99)
        ),
        Measurement(f"requests a second, catwalk serve{beside}", [ours.rate for ours, _ in pairs], "", "-"),
        Measurement(f"p99, catwalk serve{beside}", [1e3 * ours.quantile(0.99) for ours, _ in pairs], " ms", "-"),
    ]


def _swapped(server: Server, new: Run, beside: str) -> list[Measurement]:
    """Promotes another version half-way through the requests."""
    steady = _load(server.url, SWAP_REQUESTS // 2)
    timer = threading.Timer(SWAP_REQUESTS / 4 / steady.rate, lambda: promote_by_hand(new, "a bench", "to be served"))
    timer.start()
    during = _load(server.url, SWAP_REQUESTS)
    timer.join()
    server.wait_for(new.run_id)
    ratio = during.quantile(0.99) / steady.quantile(0.99)
    return [
        Measurement(f"a swap under {SWAP_REQUESTS:,} requests: failed{beside}", [during.failed], "", "0"),
        Measurement(f"p99 of these ÷ that of steady service{beside}", [ratio], "", "≤ 2"),
    ]


def _load(url: str, requests: int) -> Round:
    """Sends this number of requests from several clients, each on its own connection; returns what they measured."""
    body = json.dumps({"inputs": np.random.default_rng(0).integers(0, 256, (28, 28)).tolist()})
    started: list[float] = []
    seconds: list[float] = []
    failed: list[int] = []

    def ask(count: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT)
        for _ in range(count):
            begun = time.perf_counter()
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failed.append(answer.status)
            except (OSError, http.client.HTTPException):
                failed.append(0)
            started.append(begun)
            seconds.append(time.perf_counter() - begun)
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(ask, requests // CLIENTS) for _ in range(CLIENTS)]:
            done.result()
    return Round(started, seconds, len(failed))


def _version(seed: int) -> Run:
    config = RunConfig.from_flat({**RECIPE, "seed": seed})
    return decided(open_run(Ledger(open_store()), new_run_id(), CLASSIFIER, config, "cli"))


@contextmanager
def _serving(run: Run) -> Iterator[Server]:
    """Starts `catwalk serve`; yields once it answers with this version."""
    with serving(run.record.model, "--poll-seconds", "0.5") as server:
        server.wait_for(run.run_id)
        yield server


@contextmanager
def _plain(run: Run) -> Iterator[str]:
    """Starts the app of tests/bench/plain_app.py; yields its address."""
    port = free_port()
    command = ["-m", "uvicorn", "tests.bench.plain_app:app", "--port", str(port), "--log-level", "error"]
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(PROJECT), "PLAIN_RUN": run.run_id}
    with ExitStack() as stack:
        process = subprocess.Popen([sys.executable, *command, "--no-access-log"], cwd=PROJECT, env=environment)
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until(lambda: _answers(port), "the plain app")
        yield f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=_TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
