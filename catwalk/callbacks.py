"""Logs to a run from a library's own training loop, after each epoch or boosting round.

For example ``lightgbm.train(…, callbacks=[catwalk.callbacks.lightgbm(run)])``. Each callback imports its library, which
its caller has installed. Metrics keep the names that the library or its caller gives them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from catwalk.tracking.handle import TrackedRun

_SPLITS = {
    "training": "train",
    "valid_0": "validation",
    "val": "validation",
    "valid": "validation",
    "eval": "validation",
}
"""A library's name for a split → ours, which the dashboards' curves use."""


def lightgbm(run: TrackedRun) -> Callable[[Any], None]:
    """For ``callbacks=`` of ``lightgbm.train`` and of its estimators' ``fit``."""

    def log(environment: Any) -> None:
        rows = environment.evaluation_result_list or []
        _log(run, environment.iteration + 1, {(split, metric): value for split, metric, value, *_ in rows})

    return log


def xgboost(run: TrackedRun) -> Any:
    """For ``callbacks=`` of ``xgboost.train`` and of its estimators."""
    library = import_module("xgboost")

    class Log(library.callback.TrainingCallback):  # type: ignore[misc, name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            last = {
                (split, metric): values[-1] for split, found in evals_log.items() for metric, values in found.items()
            }
            _log(run, epoch + 1, last)
            return False

    return Log()


def keras(run: TrackedRun) -> Any:
    """For ``callbacks=`` of a Keras model's ``fit``."""
    library = import_module("keras")

    class Log(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            _log(run, epoch + 1, {_of_prefix(name): value for name, value in (logs or {}).items()})

    return Log()


def lightning(run: TrackedRun) -> Any:
    """For ``callbacks=`` of a Lightning ``Trainer``: logs what its module logged by the end of a training epoch."""
    library = sys.modules.get("pytorch_lightning") or import_module("lightning.pytorch")

    class Log(library.Callback):  # type: ignore[misc, name-defined]
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            found = {_of_prefix(name): value for name, value in trainer.callback_metrics.items()}
            _log(run, trainer.current_epoch + 1, found)

    return Log()


def _of_prefix(name: str) -> tuple[str, str]:
    """A figure's split and metric: ``val_loss`` is the validation loss; a name without a prefix belongs to training."""
    split, _, metric = name.partition("_")
    known = {"train": "train", **_SPLITS}
    return (known[split], metric) if metric and split in known else ("train", name)


def _log(run: TrackedRun, number: int, figures: dict[tuple[str, str], Any]) -> None:
    splits: dict[str, dict[str, Any]] = {}
    for (split, metric), value in figures.items():
        splits.setdefault(_SPLITS.get(split, split), {})[metric] = value
    run.epoch(number, **splits)
