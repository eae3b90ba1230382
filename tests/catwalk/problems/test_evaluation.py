"""Scores computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from catwalk.errors import ArtifactError
from catwalk.problems.multiclass import Multiclass, table
from catwalk.problems.scores import calibration_error, confusion_matrix, cross_entropy
from ml.fashion_mnist.config import CLASSES

PROBLEM = Multiclass(CLASSES)


def logits_for(confidences: list[float], predicted: list[int]) -> NDArray[np.float64]:
    """Returns rows whose softmax gives `predicted` that confidence and shares the rest equally."""
    rows = np.empty((len(confidences), 10))
    for row, confidence, label in zip(rows, confidences, predicted, strict=True):
        row[:] = np.log((1 - confidence) / 9 + 1e-300)
        row[label] = np.log(confidence)
    return rows


def test_figures_of_a_small_case_by_hand() -> None:
    # Truth 0: twice right, once taken for 1; truth 1: once right; truth 2: taken for 0.
    labels, predicted = np.array([0, 0, 0, 1, 2]), [0, 0, 1, 1, 0]
    record = PROBLEM.evaluate(logits_for([0.9] * 5, predicted), labels, "m", "d", 0.1)
    assert record.accuracy == pytest.approx(3 / 5)
    assert record.class_accuracy[:3] == pytest.approx([2 / 3, 1, 0])
    assert record.class_precision[:3] == pytest.approx([2 / 3, 1 / 2, 0])
    assert record.class_f1[:3] == pytest.approx([2 / 3, 2 / 3, 0])
    assert record.confusion[0][:3] == [2, 1, 0]
    assert record.confusion[2][0] == 1
    assert sum(map(sum, record.confusion)) == record.examples == 5
    assert record.calibration_error == pytest.approx(abs(0.9 - 3 / 5))


def test_confusion_has_the_truth_in_rows() -> None:
    matrix = confusion_matrix(np.array([3, 3]), np.array([7, 7]), 10)
    assert matrix[3, 7] == 2
    assert matrix.sum() == 2


def test_a_perfectly_calibrated_model_has_no_error_and_an_overconfident_one_the_maximum() -> None:
    labels = np.zeros(10, dtype=np.int64)
    half_right = [0] * 5 + [1] * 5
    assert calibration_error(logits_for([0.5] * 10, half_right), labels) == pytest.approx(0, abs=1e-9)
    assert calibration_error(logits_for([1.0] * 10, [1] * 10), labels) == pytest.approx(1)
    assert calibration_error(logits_for([1.0] * 10, [0] * 10), labels) == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_examples_changes_nothing() -> None:
    chance = np.random.default_rng(0)
    logits, labels = chance.normal(size=(500, 10)), chance.integers(0, 10, 500)
    order = chance.permutation(500)
    shuffled = calibration_error(logits[order], labels[order])
    assert calibration_error(logits, labels) == pytest.approx(shuffled, abs=1e-12)


def test_the_table_names_every_class_and_its_worst_confusion() -> None:
    labels, predicted = np.array([6, 6, 1]), [0, 0, 1]
    text = table(PROBLEM.evaluate(logits_for([0.9] * 3, predicted), labels, "m", "d", 0.1))
    assert all(name in text for name in CLASSES)
    assert "t-shirt-top (2)" in text
    assert "test accuracy 33.33%" in text


def test_a_model_that_answers_nan_has_no_calibration_error() -> None:
    logits = logits_for([0.9, 0.8], [0, 1])
    logits[0, 3] = math.nan
    assert math.isnan(calibration_error(logits, np.array([0, 1])))


def test_figures_agree_with_plain_torch() -> None:
    import torch

    chance = np.random.default_rng(1)
    logits = chance.normal(size=(400, 10), scale=4).astype(np.float32)
    labels = chance.integers(0, 10, 400)
    theirs = torch.nn.functional.cross_entropy(torch.tensor(logits).double(), torch.tensor(labels))
    assert cross_entropy(logits, labels) == pytest.approx(float(theirs), rel=1e-12)


def test_answers_of_another_shape_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"logits of shape \(5, 3\) for 5 examples of 10 classes"):
        PROBLEM.checked(np.zeros((5, 3)), 5)
    assert PROBLEM.checked(np.zeros((5, 10)), 5).dtype == np.float32
