"""Scores by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ml.fashion_mnist.config import CLASSES
from ml.fashion_mnist.evaluation import Predictions, calibration_error, confusion_matrix, evaluate, table


def logits_for(confidences: list[float], predicted: list[int]) -> torch.Tensor:
    """Rows whose softmax gives `predicted` that confidence and shares the rest equally."""
    rows = torch.empty(len(confidences), 10, dtype=torch.double)
    for row, confidence, label in zip(rows, confidences, predicted, strict=True):
        row[:] = torch.log(torch.tensor((1 - confidence) / 9 + 1e-300, dtype=torch.double))
        row[label] = torch.log(torch.tensor(confidence, dtype=torch.double))
    return rows


def test_figures_of_a_small_case_by_hand() -> None:
    #                 truth 0: twice right, once taken for 1; truth 1: once right; truth 2: taken for 0
    labels, predicted = torch.tensor([0, 0, 0, 1, 2]), [0, 0, 1, 1, 0]
    record = evaluate(Predictions(logits_for([0.9] * 5, predicted), labels), list(CLASSES), "m", "d", 0.1)
    assert record.accuracy == pytest.approx(3 / 5)
    assert record.class_accuracy[:3] == pytest.approx([2 / 3, 1, 0])
    assert record.class_precision[:3] == pytest.approx([2 / 3, 1 / 2, 0])
    assert record.class_f1[:3] == pytest.approx([2 / 3, 2 / 3, 0])
    assert record.confusion[0][:3] == [2, 1, 0]
    assert record.confusion[2][0] == 1
    assert sum(map(sum, record.confusion)) == record.examples == 5
    assert record.calibration_error == pytest.approx(abs(0.9 - 3 / 5))


def test_confusion_has_the_truth_in_rows() -> None:
    matrix = confusion_matrix(torch.tensor([3, 3]), torch.tensor([7, 7]), 10)
    assert matrix[3, 7] == 2
    assert matrix.sum() == 2


def test_a_perfectly_calibrated_model_has_no_error_and_a_boastful_one_all() -> None:
    labels = torch.zeros(10, dtype=torch.long)
    half_right = [0] * 5 + [1] * 5
    assert calibration_error(logits_for([0.5] * 10, half_right), labels) == pytest.approx(0, abs=1e-9)
    assert calibration_error(logits_for([1.0] * 10, [1] * 10), labels) == pytest.approx(1)
    assert calibration_error(logits_for([1.0] * 10, [0] * 10), labels) == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_examples_changes_nothing() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(500, 10), torch.randint(0, 10, (500,))
    order = torch.randperm(500)
    shuffled = calibration_error(logits[order], labels[order])
    assert calibration_error(logits, labels) == pytest.approx(shuffled, abs=1e-12)


def test_the_table_names_every_class_and_its_worst_confusion() -> None:
    labels, predicted = torch.tensor([6, 6, 1]), [0, 0, 1]
    text = table(evaluate(Predictions(logits_for([0.9] * 3, predicted), labels), list(CLASSES), "m", "d", 0.1))
    assert all(name in text for name in CLASSES)
    assert "t-shirt-top (2)" in text
    assert "test accuracy 33.33%" in text


def test_a_model_that_answers_nan_has_no_calibration_error() -> None:
    logits = logits_for([0.9, 0.8], [0, 1])
    logits[0, 3] = math.nan
    assert math.isnan(calibration_error(logits, torch.tensor([0, 1])))
