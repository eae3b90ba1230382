"""Real runs of three kinds of model. What a bench stores of thousands of runs are copies of them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

import catwalk
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.models.watched import watched
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.problems.interface import Problem
from catwalk.replay.points import run_points
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import run_stages
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.points import Point
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.support.small import SMALL

STAGED = "mlp-synthetic"
"""Model of the run that the stages made."""
EPOCHS = 18
_LOGGED = 10
"""Epochs of a run that logs."""
_TESTED = 2_000


@dataclass(frozen=True, eq=False)
class Template:
    """A finished run, with everything that the ledger and Prometheus hold of it."""

    summary: SummaryRecord
    points: tuple[Point, ...]
    objects: dict[str, bytes]
    """Name in the run's folder → content."""
    champion: ChampionRecord
    """It, as the model's champion."""
    known: WatchedRecord | None
    """The model's own record."""
    datasets: dict[str, bytes]
    """Key → content."""

    def copy(self, run_id: str) -> dict[str, bytes]:
        """Returns the objects of the same run under another id."""
        old, new = self.summary.run_id.encode(), run_id.encode()
        return {f"runs/{run_id}/{name}": body.replace(old, new) for name, body in self.objects.items()}


def templates() -> list[Template]:
    """Returns a run of the shipped classifier, of a binary model and of a regression. Each is the model's second run,
    which the gate has compared with a champion.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATWALK_", "AIRFLOW_"))}
    with tempfile.TemporaryDirectory(prefix="catwalk-bench-") as folder:
        own = {"CATWALK_STORE": (Path(folder) / "ledger").as_uri(), "CATWALK_SHIP": "1", "CATWALK_HOME": folder}
        with mock.patch.dict(os.environ, {**kept, **own}, clear=True):
            store, random = open_store(), np.random.default_rng(0)
            truth = random.normal(100, 20, _TESTED)
            for _ in range(2):
                runs = [
                    _staged(store),
                    _logged(store, "churn", catwalk.Binary(), truth > 110, random.random(_TESTED)),
                    _logged(
                        store,
                        "demand",
                        catwalk.Regression(unit="bicycles"),
                        truth,
                        truth + random.normal(0, 9, _TESTED),
                    ),
                ]
            return [_template(store, run) for run in runs]


def _staged(store: Store) -> Run:
    config = RunConfig.from_flat({**SMALL, "epochs": EPOCHS})
    run = open_run(Ledger(store), new_run_id(), CLASSIFIER, config, "schedule")
    run_stages(run, Silent())
    return run


def _logged(store: Store, model: str, problem: Problem, labels: np.ndarray, answers: np.ndarray) -> Run:
    with catwalk.run(model, problem, every="8h", owner="growth", params={"depth": 3, "rate": 0.1}) as run:
        for epoch in range(1, _LOGGED + 1):
            run.epoch(epoch, train={"loss": 1 / epoch}, validation={"loss": 1.1 / epoch, "ratio": 0.5})
        run.model(b"weights")
        run.test(labels, answers, keys=np.arange(len(labels)))
    return Run(store, run.run_id)


def _template(store: Store, run: Run) -> Template:
    summary, prefix = run.summary(), run.key("")
    assert summary is not None
    keys = [entry.key for entry in store.list("")]
    objects = {key.removeprefix(prefix): store.get(key).body for key in keys if key.startswith(prefix)}
    datasets = {key: store.get(key).body for key in keys if key.startswith(f"datasets/{summary.dataset_sha256 or '-'}")}
    promoted = Champions(store).find(summary.model)
    assert promoted is not None
    champion = replace(promoted[0], run_id=run.run_id)
    return Template(summary, tuple(run_points(run)), objects, champion, watched(store, summary.model), datasets)
