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
FEED: dict[str, Any] = {
    **SMALL,
    "source": "synthetic-feed",
    "train_examples": 6_000,
    "hidden": "64",
    "epochs": 8,
    "dropout": 0.0,
    "feed_days": 10,
    "gap_days": 0,
    "drifts": "2026-01-02 rotation 30",
    "class_significance": 0.001,
    "seed": 2,
}
"""Data that comes by day, upright on the first and turned from then on. Learnt well enough for a model of turned
pictures to be surely better at them than one of upright ones, in each class."""
UPRIGHT_DAY, TURNED_DAY = "2026-01-01", "2026-01-11"
"""``as_of`` with a test split of upright pictures alone, and of turned ones alone."""
