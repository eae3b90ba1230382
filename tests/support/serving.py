"""`catwalk serve` in a process of its own, and a ledger with versions for it to serve."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.service import memory
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.store import Store
from catwalk.trainable import Trainable
from stack.settings import PROJECT
from tests.models.shapes import SHAPES
from tests.support.runs import decided
from tests.support.servers import PATIENCE, Scrape, wait_until

_LISTENS = re.compile(r".*: (http://\S+), metrics at (http://\S+)/metrics\n")


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    metrics_url: str
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, **options)

    def wait_for(self, run_id: str) -> None:
        """Returns once this version answers."""
        wait_until(lambda: self.get("/model").json()["version"] == run_id, f"version {run_id}")

    def scrape(self) -> Scrape:
        return Scrape.of_text(httpx.get(f"{self.metrics_url}/metrics", timeout=60, trust_env=False).text)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        found = memory.used(self.process.pid)
        assert found is not None
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(*arguments: str, command: tuple[str, ...] = ("catwalk", "serve"), **environment: str) -> Iterator[Server]:
    """A server that listens, with ports of its own; whether it answers already is for the test to ask."""
    ports = ("--port", "0", "--metrics-port", "0")
    with tempfile.NamedTemporaryFile("w+", prefix="serve-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *ports, *arguments],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout
            found = _LISTENS.fullmatch(process.stdout.readline())
            assert found, Path(log.name).read_text()
            yield Server(process, found[1], found[2], Path(log.name))
        finally:
            process.kill()
            process.communicate()


def new_version(store: Store, trainable: Trainable = SHAPES, **knobs: Any) -> Run:
    """A decided run of drawn shapes; the first one of a ledger becomes the champion."""
    settings = {"accuracy_floor": 0.2, "recall_floor": 0.0, "calibration_cap": 1.0, "serve_check": "off", **knobs}
    return decided(open_run(Ledger(store), new_run_id(), trainable, trainable.config.from_flat(settings), "cli"))


class Load:
    """Requests one after another, in some threads, until it is stopped."""

    def __init__(self, server: Server, body: dict[str, Any], threads: int = 4) -> None:
        self._server, self._body = server, body
        self._stop = threading.Event()
        self.answers: list[tuple[int, str]] = []
        """Status, and the version that answered; for a failed connection, 0 and the reason."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with self._server.client() as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/predict", json=self._body)
                    self.answers.append((answer.status_code, answer.json().get("version", "")))
                except httpx.HTTPError as error:
                    self.answers.append((0, repr(error)))

    def stop(self) -> list[tuple[int, str]]:
        """Ends the threads; returns the answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.answers


def logged(ask: Callable[[], Any]) -> Any:
    """An answer of `/predict`, requested until the log has taken all its predictions: on a busy machine it may drop
    some, and reports it.
    """

    def answer() -> Any:
        found = ask()
        return found if all(one["logged"] for one in found["predictions"]) else None

    return wait_until(answer, "logged predictions")
