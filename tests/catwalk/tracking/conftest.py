"""A ledger in a folder, and programs that log to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.tracking import identity, opening
from stack.settings import PROJECT

EXAMPLES = 2_000
KEYS = np.arange(EXAMPLES)
LABELS = (np.arange(EXAMPLES) % 5 == 0).astype(int)
_CLEARED = ("CATWALK_RUN_KEY", "CATWALK_SHIP", "CATWALK_DISABLED", "CATWALK_STATSD", *identity.RANKS)
Program = Callable[..., subprocess.Popen[str]]


def scores(noise: float = 0.1, seed: int = 0) -> Any:
    """Probabilities for the labels, which noise spoils."""
    noisy = 0.2 + 0.6 * LABELS + noise * np.random.default_rng(seed).standard_normal(EXAMPLES)
    return np.clip(noisy, 0.01, 0.99)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """An empty ledger, which CATWALK_STORE names."""
    for name in [*_CLEARED, *(name for name in os.environ if name.startswith("AIRFLOW_CTX_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    yield Ledger(open_store())
    opening.open_models.clear()


@pytest.fixture
def store(ledger: Ledger) -> Store:
    return ledger.store


@pytest.fixture
def program() -> Iterator[Program]:
    """Starts Python programs; what still runs in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=PROJECT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def only(ledger: Ledger) -> Any:
    """The one run of a ledger."""
    (run_id,) = {entry.key.split("/")[1] for entry in ledger.store.list("runs/")}
    return ledger.run(run_id)
