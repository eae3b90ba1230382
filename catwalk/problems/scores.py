"""Metrics of a classifier's answers, in double precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.problems import arrays
from catwalk.problems.arrays import Floats, Integers
from catwalk.problems.interface import Outcome

CALIBRATION_BINS = 15


def measure(classes: Sequence[str], labels: Any, scores: Any) -> Outcome:
    """Returns the outcome of a :class:`~catwalk.problems.multiclass.Multiclass` problem with these classes."""
    truth = arrays.class_indices("labels", labels, classes)
    expected = f"logits or probabilities, shape ({len(truth)}, {len(classes) or 'classes'}), or predicted classes"
    given = arrays.array("scores", scores, f"{expected}, ({len(truth)},)")
    if given.ndim == 1 or given.shape[1:] == (1,):
        predicted = arrays.class_indices("scores", given, classes, len(truth))
        found, metrics = predicted.astype(np.float64), {}
    else:
        found = _logits(given, len(truth), classes, expected)
        truth = arrays.class_indices("labels", truth, classes or [str(label) for label in range(found.shape[1])])
        predicted = np.asarray(found.argmax(axis=1), dtype=np.int64)
        metrics = {"log_loss": cross_entropy(found, truth), "calibration_error": calibration_error(found, truth)}
    loss = (predicted != truth).astype(np.float64)
    return Outcome(truth, found, predicted, loss, _by_class(truth, predicted) | metrics)


def _logits(given: NDArray[Any], rows: int, classes: Sequence[str], expected: str) -> Floats:
    """Returns logits. If all rows are distributions, they are probabilities, and their logarithms are the logits."""
    if given.ndim != 2 or len(given) != rows or given.shape[1] < 2 or (classes and given.shape[1] != len(classes)):
        raise arrays.wrong("scores", expected, given)
    found = arrays.floats("scores", given, expected)
    if found.min() >= 0 and np.abs(found.sum(axis=1) - 1).max() < 1e-3:
        return np.asarray(np.log(np.maximum(found, 1e-12)))
    return found


def _by_class(truth: Integers, predicted: Integers) -> dict[str, float]:
    """Returns metrics by class, without the matrix, which would exceed memory for many classes or widely spaced
    numbers.
    """
    right = predicted == truth
    classes, place, examples = np.unique(truth, return_inverse=True, return_counts=True)
    hits = np.bincount(place, weights=right, minlength=len(classes))
    said = np.searchsorted(classes, predicted)
    known = (said < len(classes)) & (classes[np.minimum(said, len(classes) - 1)] == predicted)
    answers = np.bincount(said[known], minlength=len(classes))
    return {
        "accuracy": float(right.mean()),
        "worst_recall": float((hits / examples).min()),
        "macro_f1": float(_f1(hits / examples, hits / np.maximum(answers, 1)).mean()),
    }


def _f1(recall: Floats, precision: Floats) -> Floats:
    return np.asarray(2 * precision * recall / np.maximum(precision + recall, 1e-12))


def log_probabilities(logits: NDArray[Any]) -> Floats:
    """Returns the logarithm of the softmax of each row, shape (n, classes)."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """Returns the mean cross-entropy in nats; logits (n, classes), labels (n,)."""
    with np.errstate(invalid="ignore"):
        return float(-log_probabilities(logits)[np.arange(len(labels)), labels].mean())


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Returns examples by true class (row) and predicted class (column), shape (classes, classes); labels, predicted
    (n,).
    """
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def rates(confusion: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Returns recall, precision and F1 of each class; 0 if the divisor is 0."""
    hits = confusion.diagonal().astype(np.float64)
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    return recall, precision, _f1(recall, precision)


def calibration_error(logits: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS) -> float:
    """Returns the expected calibration error: the mean distance between confidence and accuracy over equal-width bins
    of confidence, each bin weighted by its examples (Naeini, Cooper and Hauskrecht, 2015). NaN if a confidence is NaN,
    which fits in no bin.
    """
    with np.errstate(invalid="ignore"):
        confidence = np.exp(log_probabilities(logits).max(axis=1))
    if np.isnan(confidence).any():
        return math.nan
    return binned_gap(confidence, logits.argmax(axis=1) == labels, bins)


def binned_gap(probability: Floats, true: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> float:
    """Returns the mean distance between a probability and how often it was true, over equal-width bins of it; (n,)
    each.
    """
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(index, weights=probability - true, minlength=bins)).sum() / len(true))
