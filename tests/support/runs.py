"""Synthetic data that is drawn once, and small runs on it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from catwalk.ledger.records.run import STAGES, RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.ingest import ingest
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.stages.train import train
from catwalk.storage.store import Store
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.points import Point
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import DataConfig, RunConfig
from ml.fashion_mnist.dataset import read_splits
from stack.bootstrap import TOOLS
from tests.support import small

SMALL = {**small.SMALL, "seed": 11}


class Recorder(Silent):
    """An observer that remembers its calls, and may do something once an epoch."""

    sends = True

    def __init__(self, after_epoch: Callable[[EpochRecord], None] = lambda record: None) -> None:
        self.calls: list[str] = []
        self._after_epoch = after_epoch

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        self.calls.append(f"epoch {record.epoch}")
        self._after_epoch(record)

    def test_finished(self, run: RunRecord, record: object) -> None:
        self.calls.append("test")

    def stage_finished(self, run: RunRecord, record: Any) -> None:
        self.calls.append(f"{record.stage} {record.outcome}")

    def resend(self, points: Sequence[Point]) -> int:
        self.calls.append("resend")
        return 0


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose synthetic files are drawn."""
    home = tmp_path_factory.mktemp("home")
    draw_synthetic(home)
    return home


def draw_synthetic(home: Path) -> None:
    """Gives a home the synthetic files. To draw them takes seconds: that happens once, in `.tools`."""
    kept = TOOLS / "drawn"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATWALK_HOME", str(kept))
        read_splits(DataConfig(source="synthetic"))
    half_written = shutil.ignore_patterns("tmp*")  # by another worker, which draws them at the same time
    shutil.copytree(kept, home, ignore=half_written, dirs_exist_ok=True)


@pytest.fixture
def ledger(s3_store: Store, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger on a real S3 server."""
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    return Ledger(s3_store)


@pytest.fixture
def new_run(ledger: Ledger) -> Callable[..., Run]:
    """Opens a small run, its dataset ingested."""

    def make(**knobs: Any) -> Run:
        run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat({**SMALL, **knobs}), "cli")
        ingest(run, Silent())
        return run

    return make


def decided(run: Run) -> Run:
    """Trained, tested and decided upon, but without a report, which takes as long as all of that."""
    for stage in STAGES[:-1]:
        STAGE_FUNCTIONS[stage](run, Silent())
    return run


@pytest.fixture
def undisturbed(new_run: Callable[..., Run]) -> Callable[..., bytes]:
    """The model of a run that nothing happened to."""

    def make(**knobs: Any) -> bytes:
        run = new_run(**knobs)
        train(run, Silent())
        return model(run)

    return make


def model(run: Run) -> bytes:
    """A run's model file."""
    return run.store.get(run.key("model.safetensors")).body


def stage_process(run: Run, stage: str, *arguments: str) -> subprocess.Popen[bytes]:
    """One stage of a run in a process of its own; see `tests/support/stage_process.py`."""
    command = [sys.executable, str(Path(__file__).with_name("stage_process.py")), stage, run.run_id, *arguments]
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE)


def fence_off(old: subprocess.Popen[bytes], run: Run) -> None:
    """Trains beside a stopped first attempt, which continues at the first epoch: it must end, and this one must win."""
    released: list[tuple[int, bytes]] = []

    def release(record: object) -> None:
        """Both live at once from the retry's first epoch on."""
        if not released:
            old.send_signal(signal.SIGCONT)
            _, errors = old.communicate(timeout=500)
            released.append((old.returncode, errors))

    train(run, Recorder(release))
    [(code, errors)] = released
    assert code == 1
    assert b"SupersededError: attempt 1 was superseded by attempt 2" in errors
    assert [record.outcome for record in run.attempts() if record.stage == "train"] == ["superseded", "succeeded"]


def snapshot(run: Run) -> list[tuple[str, str]]:
    """Every object of a run with its ETag."""
    summary = [(entry.key, entry.etag) for entry in run.store.list(f"summaries/{run.run_id}")]
    return [(entry.key, entry.etag) for entry in run.store.list(run.key(""))] + summary


def without_timing(record: EpochRecord) -> EpochRecord:
    """What of an epoch does not depend on the clock."""
    return dataclasses.replace(record, duration_seconds=0.0, examples_per_second=0.0, finished=0.0)
