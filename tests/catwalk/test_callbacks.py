"""Training loops of other libraries that log to a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import catwalk
from catwalk import callbacks
from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store

ROUNDS = 3
INPUTS = np.random.default_rng(1).normal(size=(200, 4)).astype("float32")
LABELS = (INPUTS[:, 0] > 0).astype("float32")
Scores = list[dict[str, dict[str, float]]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Warnings from other libraries are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    with catwalk.run("churn", catwalk.Binary()) as opened:
        yield opened


def logged(run: Any) -> Scores:
    """Returns the figures of each epoch, as the ledger has them after the run's end."""
    run.close()
    training = Ledger(open_store()).run(run.run_id).training()
    assert training and [epoch.epoch for epoch in training.epochs] == [1, 2, 3]
    return [epoch.scores for epoch in training.epochs]


def column(scores: Scores, split: str, metric: str) -> list[float]:
    return [found[split][metric] for found in scores]


def test_lightgbm(run: Any) -> None:
    lightgbm = import_module("lightgbm")
    data = lightgbm.Dataset(INPUTS, LABELS)
    kept: dict[str, Any] = {}
    lightgbm.train(
        {"objective": "binary", "metric": ["binary_logloss", "auc"], "verbose": -1}, data, ROUNDS,
        valid_sets=[data, lightgbm.Dataset(INPUTS[:50], LABELS[:50], reference=data)], valid_names=["training", "late"],
        callbacks=[callbacks.lightgbm(run), lightgbm.record_evaluation(kept)],
    )  # fmt: skip
    scores = logged(run)
    assert column(scores, "train", "binary_logloss") == kept["training"]["binary_logloss"]
    assert column(scores, "late", "auc") == kept["late"]["auc"]


def test_lightgbm_s_estimators(run: Any) -> None:
    lightgbm = import_module("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=ROUNDS, verbose=-1)
    model.fit(INPUTS, LABELS, eval_set=[(INPUTS[:50], LABELS[:50])], callbacks=[callbacks.lightgbm(run)])
    assert column(logged(run), "validation", "binary_logloss") == model.evals_result_["valid_0"]["binary_logloss"]


def test_xgboost(run: Any) -> None:
    xgboost = pytest.importorskip("xgboost", reason="is for Linux alone among these packages")
    data = xgboost.DMatrix(INPUTS, LABELS)
    kept: dict[str, Any] = {}
    xgboost.train(
        {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"]}, data, ROUNDS, evals_result=kept,
        evals=[(data, "train"), (xgboost.DMatrix(INPUTS[:50], LABELS[:50]), "eval")], verbose_eval=False,
        callbacks=[callbacks.xgboost(run)],
    )  # fmt: skip
    scores = logged(run)
    assert column(scores, "train", "logloss") == kept["train"]["logloss"]
    assert column(scores, "validation", "auc") == kept["eval"]["auc"]


def test_xgboost_s_estimators(run: Any) -> None:
    xgboost = pytest.importorskip("xgboost", reason="is for Linux alone among these packages")
    model = xgboost.XGBClassifier(n_estimators=ROUNDS, callbacks=[callbacks.xgboost(run)])
    model.fit(INPUTS, LABELS, eval_set=[(INPUTS, LABELS)], verbose=False)
    assert column(logged(run), "validation_0", "logloss") == model.evals_result()["validation_0"]["logloss"]


def test_keras(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    keras = import_module("keras")
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        INPUTS, LABELS, epochs=ROUNDS, validation_split=0.2, verbose=0, callbacks=[callbacks.keras(run)]
    ).history
    scores = logged(run)
    assert column(scores, "train", "loss") == pytest.approx(history["loss"])
    assert column(scores, "validation", "accuracy") == pytest.approx(history["val_accuracy"])


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning(package: str, run: Any, tmp_path: Path) -> None:
    lightning = import_module(package)
    kept: list[float] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def loss(self, batch: Any) -> Any:
            return torch.nn.functional.binary_cross_entropy_with_logits(self.layer(batch[0])[:, 0], batch[1])

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.loss(batch)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self.loss(batch))

        def on_validation_epoch_end(self) -> None:
            kept.append(float(self.trainer.callback_metrics["val_loss"]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*map(torch.from_numpy, (INPUTS, LABELS))), 50)
    lightning.Trainer(
        max_epochs=ROUNDS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, callbacks=[callbacks.lightning(run)],
    ).fit(Module(), loader, loader)  # fmt: skip
    scores = logged(run)
    assert column(scores, "validation", "loss") == pytest.approx(kept[-ROUNDS:])  # without the sanity check
    assert sorted(column(scores, "train", "loss"), reverse=True) == column(scores, "train", "loss")
