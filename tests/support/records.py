"""Records of a small run, as the ledger would hold them."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from catwalk.errors import PreconditionFailedError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord, SliceRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.storage.store import Stored
from catwalk.telemetry.points import OTHERS
from ml.fashion_mnist.config import CLASSES, RunConfig


@pytest.fixture
def run_record() -> RunRecord:
    return RunRecord(
        "20261123T030000Z-7f3a90c1",
        "mlp",
        "schedule",
        RunConfig().to_dict(),
        7,
        "c0de",
        1_000.0,
        False,
        classes=list(CLASSES),
    )


@pytest.fixture
def make_epoch() -> Any:
    def make(epoch: int, **changes: Any) -> EpochRecord:
        values: dict[str, Any] = {
            "epoch": epoch,
            "train_loss": 0.41,
            "train_accuracy": 0.85,
            "validation_loss": 0.5,
            "validation_accuracy": 0.8,
            "class_accuracy": [index / 10 for index in range(10)],
            "learning_rate": 1e-05,
            "gradient_norm": 0.25,
            "duration_seconds": 1.5,
            "examples_per_second": 36_000.0,
            "finished": 1_000.0 + epoch,
        }
        return EpochRecord(**{**values, **changes})

    return make


@pytest.fixture
def evaluation() -> EvaluationRecord:
    return EvaluationRecord(
        model_sha256="m",
        dataset_sha256="d",
        examples=10_000,
        accuracy=0.9,
        loss=0.3,
        calibration_error=0.02,
        class_accuracy=[0.9] * 10,
        class_precision=[0.8] * 10,
        class_f1=[0.85] * 10,
        confusion=[[10 * row + column for column in range(10)] for row in range(10)],
        inference_seconds=0.2,
        finished=2_000.0,
        classes=list(CLASSES),
    )


@pytest.fixture
def make_attempt() -> Any:
    def make(stage: str = "train", number: int = 1, **changes: Any) -> AttemptRecord:
        values: dict[str, Any] = {"ended": 1_060.0, "outcome": "succeeded", "cpu_seconds": 90.0, "peak_memory_bytes": 5}
        values |= {"gpu_peak_memory_bytes": 7, "gpu_utilisation_ratio": 0.5}
        return AttemptRecord(stage, number, 1_000.0, "host", 1, **{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_regression(make_run: Any, memory_store: MemoryStore) -> Any:
    """The same for a regression that a script has logged: it has no classes, and metrics of its own."""

    def make(epochs: int = 2, **changes: Any) -> Any:
        run = make_run(epochs)
        nothing: dict[str, Any] = dict.fromkeys(("train_accuracy", "validation_accuracy", "learning_rate"))
        nothing |= {"gradient_norm": None, "examples_per_second": None, "class_accuracy": []}
        logged = {"train": {"mae": 2.5}, "validation": {"mae": 3.5, "r2": -0.25}}
        history = [replace(record, **nothing, metrics=logged) for record in run.training().epochs]
        scores = {"mae": 3.25, "rmse": 4.5, "r2": -0.5}
        of_country = {"PT": SliceRecord(40, 3.0), "DE": SliceRecord(60, None)}
        tested = EvaluationRecord("m", "d", 100, None, None, None, [], [], [], [], None, 2_000.0, metrics=scores)
        tested = replace(tested, slices={"country": of_country})
        run.record = replace(run.record, classes=[], metric_series=OTHERS, **changes)
        run.training, run.evaluation = lambda: TrainingRecord(1, history), lambda: tested
        return run

    return make


class MemoryStore:
    """Objects with the conditional writes of :class:`catwalk.storage.store.Store`."""

    def __init__(self) -> None:
        self._objects: dict[str, Stored] = {}
        self._lock = threading.Lock()

    def find(self, key: str) -> Stored | None:
        return self._objects.get(key)

    def put(self, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> str:
        with self._lock:
            found = self._objects.get(key)
            if (create and found) or (if_match and (found is None or found.etag != if_match)):
                raise PreconditionFailedError(key)
            self._objects[key] = Stored(body, str(uuid.uuid4()))
            return self._objects[key].etag


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def make_run(
    run_record: RunRecord,
    make_epoch: Any,
    evaluation: EvaluationRecord,
    make_attempt: Any,
    memory_store: MemoryStore,
) -> Any:
    """A stand-in for :class:`catwalk.ledger.runs.Run` that has everything in memory."""

    def make(epochs: int = 2, attempts: list[AttemptRecord] | None = None) -> Any:
        training = TrainingRecord(1, [make_epoch(number) for number in range(1, epochs + 1)])
        stages = ("ingest", "train", "test", "decide", "publish")
        ended = [make_attempt(stage) for stage in stages] if attempts is None else attempts
        config = {**run_record.config, "training": {**run_record.config["training"], "epochs": epochs or 18}}
        return SimpleNamespace(
            store=memory_store,
            record=replace(run_record, config=config),
            training=lambda: training,
            evaluation=lambda: evaluation,
            attempts=lambda: ended,
        )

    return make
