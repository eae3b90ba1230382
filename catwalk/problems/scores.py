"""Figures of a classifier's answers, in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15
Floats = NDArray[np.float64]


def log_probabilities(logits: NDArray[Any]) -> Floats:
    """Logarithm of the softmax of each row, shape (n, classes)."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean cross-entropy in nats; logits (n, classes), labels (n,)."""
    with np.errstate(invalid="ignore"):
        return float(-log_probabilities(logits)[np.arange(len(labels)), labels].mean())


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Examples by true class (row) and predicted class (column), shape (classes, classes); labels, predicted (n,)."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def rates(confusion: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and F1 of each class; 0 where nothing can be divided by."""
    hits = confusion.diagonal().astype(np.float64)
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    return recall, precision, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def calibration_error(logits: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean distance between confidence and accuracy over equal-width bins of confidence,
    each bin weighted by its examples (Naeini, Cooper and Hauskrecht, 2015). NaN where a confidence is, for no bin holds
    that one."""
    with np.errstate(invalid="ignore"):
        confidence = np.exp(log_probabilities(logits).max(axis=1))
    if np.isnan(confidence).any():
        return math.nan
    right = logits.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(index, weights=confidence - right, minlength=bins)).sum() / len(labels))
