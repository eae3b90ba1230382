"""Summaries and small runs for tests of the exporter, the command line and replay."""

from __future__ import annotations

import dataclasses
import tarfile
import time
from pathlib import Path
from typing import Any

from catwalk.codec import to_json
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.summary import StageSummary, SummaryRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.ledger.runs import Ledger, Run
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.store import Store
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, RunConfig

MODEL_SHA256 = "5" * 64
FIRST_EDITION = Path(__file__).parents[1] / "fixtures" / "first_edition_ledger.tar.xz"


def load_first_edition(store: Store) -> None:
    """Fills an empty store with the ledger that version 0.1.0 wrote."""
    with tarfile.open(FIRST_EDITION) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            store.put(member.name, file.read())


def summary(run_id: str = "20261123T030000Z-00000001", **changes: Any) -> SummaryRecord:
    """A scheduled run that succeeded ten minutes ago."""
    now = time.time()
    values: dict[str, Any] = {
        "model": "mlp",
        "trigger": "schedule",
        "synthetic": False,
        "dag_id": "fashion_training",
        "dag_run_id": "scheduled__2026-11-23",
        "git_commit": "c0ffee",
        "seed": 7,
        "parameters": {"epochs": 18, "hidden": [512, 512], "seed": None, "device": "auto", "dropout": 0.2},
        "state": "succeeded",
        "started": now - 660,
        "updated": now - 600,
        "finished": now - 600,
        "stage": "publish",
        "stages": {"train": StageSummary(2, 45.0, now - 650, now - 605)},
        "classes": list(CLASSES),
        "class_shares": [0.1] * 10,
        "statistics": {"pixel_mean": 0.28, "pixel_stddev": 0.35},
        "epochs": 18,
        "best_epoch": 16,
        "best_validation_loss": 0.26,
        "best_train_loss": 0.14,
        "median_train_loss": 0.31,
        "last_validation_loss": 0.27,
        "test_accuracy": 0.901,
        "test_loss": 0.28,
        "test_calibration_error": 0.02,
        "test_class_accuracy": [0.9] * 10,
        "decision": "ship",
        "reason": "floor_reached",
        "sentence": "Ship: it is good.",
    }
    return SummaryRecord(run_id=run_id, **{**values, **changes})


def put_summary(store: Store, record: SummaryRecord) -> None:
    """Stores a summary where the ledger has it."""
    store.put(f"summaries/{record.run_id}.json", to_json(record))


def make_run(store: Store, run_id: str, ended: float, epochs: int = 3, model_sha256: str = MODEL_SHA256) -> Run:
    """A whole run in the ledger, as if it had ended at that time; its model is not stored."""
    config = RunConfig.from_flat({"source": "synthetic", "epochs": epochs, "hidden": "8"})
    run = open_run(Ledger(store), run_id, CLASSIFIER, config, "cli")
    history = [_epoch(number, ended - 100 + number) for number in range(1, epochs + 1)]
    store.put_record(run.key("epochs.json"), TrainingRecord(1, history, model_sha256=model_sha256, model_bytes=1))
    store.put_record(run.key("evaluation.json"), _evaluation(ended - 10, model_sha256))
    for stage in ("train", "test"):
        store.put_record(
            run.key(f"attempts/{stage}-1.json"),
            AttemptRecord(stage, 1, ended - 100, "here", 1, ended - 5, "succeeded", "", 1.0, 1_000_000),
        )
    run.update_summary(
        lambda found: dataclasses.replace(
            found,
            state="succeeded",
            started=ended - 100,
            updated=ended,
            finished=ended,
            epochs=epochs,
            test_accuracy=0.9,
        )
    )
    return run


def _epoch(number: int, finished: float) -> EpochRecord:
    return EpochRecord(number, 1 / number, 0.8, 1.1 / number, 0.79, [0.8] * 10, 0.1, 2.0, 1.5, 30_000.0, finished)


def _evaluation(finished: float, model_sha256: str) -> EvaluationRecord:
    confusion = [
        [90 if row == column else 10 if column == (row + 1) % 10 else 0 for column in range(10)] for row in range(10)
    ]
    rates = [0.9] * 10
    return EvaluationRecord(
        model_sha256, "d" * 64, 1_000, 0.9, 0.3, 0.02, rates, rates, rates, confusion, 0.1, finished, list(CLASSES)
    )
