"""Scores of a model on labelled examples: accuracy, per-class figures, confusion matrix, calibration error."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from catwalk.ledger.records import EvaluationRecord, class_names
from ml.fashion_mnist.dataset import Split
from ml.fashion_mnist.network import Perceptron
from ml.fashion_mnist.training import score

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What a model says of each example."""

    logits: Tensor
    """float32 (n, classes)."""
    labels: Tensor
    """int64 (n,), the truth."""


def predict(network: Perceptron, split: Split) -> tuple[Predictions, float]:
    """Scores a split on the CPU; returns the predictions and the seconds it took."""
    started = time.perf_counter()
    logits = score(network, network.standardise(split.images))
    return Predictions(logits, split.labels.long()), time.perf_counter() - started


def evaluate(
    predictions: Predictions, classes: list[str], model_sha256: str, dataset_sha256: str, inference_seconds: float
) -> EvaluationRecord:
    """All figures of one set of predictions. A class that is never predicted has precision and F1 of 0.

    Args:
        predictions: of the test split.
        classes: names in label order.
        model_sha256: of the weights that predicted.
        dataset_sha256: of the dataset that the split belongs to.
        inference_seconds: that it took.
    """
    logits, labels = predictions.logits, predictions.labels
    confusion = confusion_matrix(labels, logits.argmax(1), logits.shape[1])
    hits = confusion.diagonal().double()
    recall = hits / confusion.sum(1).clamp(min=1)
    precision = hits / confusion.sum(0).clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return EvaluationRecord(
        model_sha256=model_sha256,
        dataset_sha256=dataset_sha256,
        examples=len(labels),
        accuracy=float(hits.sum() / len(labels)),
        loss=float(cross_entropy(logits, labels)),
        calibration_error=calibration_error(logits, labels),
        class_accuracy=recall.tolist(),
        class_precision=precision.tolist(),
        class_f1=f1.tolist(),
        confusion=confusion.tolist(),
        inference_seconds=inference_seconds,
        finished=time.time(),
        classes=classes,
    )


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Examples by true class (row) and predicted class (column): int64 (classes, classes)."""
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def calibration_error(logits: Tensor, labels: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean distance between confidence and accuracy over equal-width bins of confidence,
    each bin weighted by its examples (Naeini, Cooper and Hauskrecht, 2015). NaN where a confidence is, for no bin holds
    that one."""
    confidence, predicted = softmax(logits.double(), 1).max(1)
    if confidence.isnan().any():
        return math.nan
    right = (predicted == labels).double()
    index = (confidence * bins).long().clamp(max=bins - 1)
    gap = torch.bincount(index, weights=confidence - right, minlength=bins).abs()
    return float(gap.sum() / len(labels))


def table(record: EvaluationRecord) -> str:
    """The score as text for a log: one line in all, one a class."""
    classes = class_names(record.classes, len(record.class_accuracy))
    width = max(map(len, classes))
    lines = [
        f"test accuracy {record.accuracy:.2%}   loss {record.loss:.4f}   "
        f"calibration error {record.calibration_error:.2%}   ({record.examples:,} examples)",
        f"{'class':<{width}}  accuracy  precision     F1  most often taken for",
    ]
    for label, name in enumerate(classes):
        mistakes = [count if other != label else 0 for other, count in enumerate(record.confusion[label])]
        worst = max(range(len(classes)), key=mistakes.__getitem__)
        confused = f"{classes[worst]} ({mistakes[worst]})" if mistakes[worst] else "-"
        lines.append(
            f"{name:<{width}}  {record.class_accuracy[label]:8.1%}  {record.class_precision[label]:9.1%}  "
            f"{record.class_f1[label]:5.1%}  {confused}"
        )
    return "\n".join(lines)
