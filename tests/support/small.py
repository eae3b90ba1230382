"""The smallest run that still does everything."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "source": "synthetic",
    "train_examples": 500,
    "validation_examples": 100,
    "hidden": "16",
    "epochs": 4,
    "dropout": 0.2,
    "batch_size": 50,
    "label_smoothing": 0,
    "shift": 0,
    "precision": "float32",
    "threads": 1,
    "checkpoint_seconds": 0,
    "accuracy_floor": 0.2,
    "recall_floor": 0,
    "calibration_cap": 1,
    "serve_check": "off",
}
"""Knobs that are not the default: what tests count on must not change with a better recipe."""
SLOW = {**SMALL, "epochs": 20}
"""Takes long enough to be caught in the middle, where :mod:`tests.models.slow` trains it."""
