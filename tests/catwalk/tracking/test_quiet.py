"""What a run does not do: send if no exporter is named, and anything at all if it is turned off."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stack.settings import PROJECT

PROGRAM = """
import json, sys, threading

seen, start = [], threading.Thread.start
WATCHED = ("socket.", "subprocess.", "os.posix_spawn", "os.fork")
import numpy, catwalk
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores

answers = scores()
sys.addaudithook(lambda event, arguments: event.startswith(WATCHED) and seen.append([event, str(arguments)]))
threading.Thread.start = lambda thread: (seen.append(["thread", thread.name]), start(thread))
with catwalk.run("churn", catwalk.Binary(), params={"depth": 6}) as run:
    run.data(as_of="2026-11-25")
    for number in range(1, 4):
        run.epoch(number, train={"loss": 1 / number})
        run.log(learning_rate=0.1)
    run.model(b"weights")
    run.test(LABELS, answers, keys=KEYS, slices={"parity": KEYS % 2})
print(json.dumps(seen))
"""
"""Runs a complete run; returns the audit events by which Python reports what it asks from the system, and its
threads.
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The address where a statsd_exporter would listen."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        yield bound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, which is the program's home too."""
    (tmp_path / "author").mkdir()
    return tmp_path / "author"


def seen(folder: Path, **environment: str) -> dict[str, list[str]]:
    """Audit event, or thread → what it was about, each time."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": f"{PROJECT}", **environment}
    command = [sys.executable, "-B", "-c", PROGRAM]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = {}
    for event, arguments in json.loads(done.stdout):
        found.setdefault(event, []).append(arguments)
    return found


def packets(listener: socket.socket) -> list[bytes]:
    """Returns what has arrived so far."""
    found = []
    while True:
        try:
            found.append(listener.recv(65_536))
        except BlockingIOError:
            return found


def test_without_an_exporter_nothing_is_sent_or_looked_up_and_no_thread_waits_for_it(folder: Path) -> None:
    found = seen(folder)
    assert not [event for event in found if event.startswith("socket.") and event != "socket.gethostname"]
    [run] = (folder / ".catwalk-ledger" / "runs").iterdir()
    assert found["thread"] == [f"catwalk {run.name}"], "that of the heartbeat"


def test_with_an_exporter_it_gets_the_points(folder: Path, listener: socket.socket) -> None:
    found = seen(folder, CATWALK_STATSD=f"localhost:{listener.getsockname()[1]}")
    assert {"socket.getaddrinfo", "socket.__new__", "socket.connect"} <= set(found) and len(found["thread"]) > 1
    assert any(b"ml.epoch.loss" in packet for packet in packets(listener))


def test_a_run_that_is_turned_off_does_nothing_at_all(folder: Path, listener: socket.socket) -> None:
    found = seen(folder, CATWALK_DISABLED="1", CATWALK_STATSD=f"localhost:{listener.getsockname()[1]}")
    assert (found, packets(listener), list(folder.iterdir())) == ({}, [], [])
