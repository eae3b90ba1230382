"""Labels and scores of any origin are accepted; an error is one line that names the argument."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from catwalk import Binary, Multiclass, Regression
from catwalk.errors import InputError
from catwalk.problems.arrays import column, texts
from catwalk.problems.interface import Problem

NAMES = Multiclass(("cat", "dog", "eel"))
LOGITS = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [3.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, np.asarray, torch.tensor, pandas.Series, lambda values: torch.tensor(values, dtype=torch.bfloat16),
     lambda values: torch.tensor([float(value) for value in values], requires_grad=True),
     lambda values: np.asarray(values)[:, None], lambda values: pandas.DataFrame({"column": values}),
     lambda values: pandas.Series(values, index=range(7, 10))],
)  # fmt: skip
def test_arrays_of_any_origin_give_the_same(wrap: Any) -> None:
    outcome = Binary().measure(wrap([1, 0, 1]), wrap([0.5, 0.25, 0.75]))
    assert outcome.loss.tolist() == pytest.approx([-np.log(0.5), -np.log(0.75), -np.log(0.75)])
    assert outcome.labels.tolist() == [1, 0, 1]
    assert outcome.predictions.tolist() == [0.5, 0.25, 0.75]


@pytest.mark.parametrize(
    "labels", [["cat", "dog", "eel"], [0, 1, 2], [0.0, 1.0, 2.0], np.array(["cat", "dog", "eel"], dtype=object)]
)
def test_classes_can_be_names_or_indices(labels: Any) -> None:
    outcome = NAMES.measure(labels, LOGITS)
    assert outcome.labels.tolist() == [0, 1, 2]
    assert outcome.predictions.tolist() == [0, 1, 0]
    assert outcome.loss.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "labels",
    [
        [True, False], ["yes", "no"], [1, 0], [1.0, 0.0], pandas.Series(["yes", "no"]),
        pandas.Series(["yes", "no"], dtype="category"), pandas.Series([True, False], dtype="boolean"),
        pandas.Series([1, 0], dtype="Int64"), torch.tensor([True, False]),
    ],
)  # fmt: skip
def test_yes_and_no_can_be_a_name_a_number_or_a_boolean(labels: Any) -> None:
    assert Binary(("no", "yes")).measure(labels, [0.9, 0.2]).labels.tolist() == [1, 0]


def test_both_probabilities_are_as_good_as_that_of_the_positive_class() -> None:
    one, both = [0.9, 0.2], [[0.1, 0.9], [0.8, 0.2]]
    assert Binary().measure([1, 0], both).metrics == Binary().measure([1, 0], one).metrics


def test_probabilities_of_many_classes_are_as_good_as_logits() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    assert NAMES.measure([0, 1, 2], np.exp(logits)).metrics == pytest.approx(NAMES.measure([0, 1, 2], logits).metrics)


def test_predicted_classes_alone_have_no_log_loss() -> None:
    outcome = NAMES.measure(["cat", "dog", "eel"], ["cat", "eel", "eel"])
    assert outcome.loss.tolist() == [0.0, 1.0, 0.0]
    assert set(outcome.metrics) == {"accuracy", "worst_recall", "macro_f1"}


@pytest.mark.parametrize(
    ("problem", "labels", "scores", "told"),
    [
        (Binary(), [1, 0, 1], [0.1, 0.2], ["scores: expected prob", "(3,)", "got float64, shape (2,)"]),
        (Binary(), [1, 0], [0.1, 1.2], ["scores: expected prob", "got 1.2 in row 1"]),
        (Binary(), [1, 0], [0.1, np.nan], ["scores: expected prob", "1 of 2 values are NaN", "row 1"]),
        (Binary(), [1, 0], [[0.1, 0.2], [0.5, 0.5]], ["scores: ", "don't add up to 1"]),
        (Binary(), [1, 2], [0.1, 0.2], ["labels: expected class indices from 0 to 1", "got 2 in row 1"]),
        (Binary(), [1, None], [0.1, 0.2], ["labels: ", "got NoneType and int, shape (2,)"]),
        (Binary(), pandas.Series([1, None], dtype="Int64"), [0.1, 0.2], ["labels: ", "NaN", "row 1"]),
        (Binary(), [1, 0], pandas.Series([0.1, None]), ["scores: ", "NaN", "row 1"]),
        (Binary(), [1, 0], pandas.DataFrame([[1, 2, 3]]), ["scores: ", "got int64, shape (1, 3)"]),
        (Binary(), [], [], ["labels: ", "no examples, shape (0,)"]),
        (Binary(), 1, [0.1], ["labels: ", "got int 1, which has no rows"]),
        (Binary(("no", "yes")), ["no", "maybe"], [0.1, 0.2], ["labels: ", "no, yes", "got 'maybe' in row 1"]),
        (Binary(metric="auc"), [1, 1], [3, 4], ["labels: expected examples of both classes"]),
        (NAMES, [0, 3], LOGITS[:2], ["labels: expected class indices from 0 to 2", "got 3 in row 1"]),
        (NAMES, [0, 1], [[1, 2], [3, 4]], ["scores: expected logits", "(2, 3)", "got int64, shape (2, 2)"]),
        (NAMES, [0, 1], [[1, 2, 3], [4, 5]], ["scores: expected logits", "got list: "]),
        (Multiclass(), [0, 3], LOGITS[:2], ["labels: expected class indices from 0 to 2", "got 3 in row 1"]),
        (Regression(), [1.0, 2.0], [[1.0, 2.0]], ["scores: expected a predicted value", "(2,)", "shape (1, 2)"]),
        (Regression(), ["a", "b"], [1, 2], ["labels: expected the true values", "got text, shape (2,)"]),
        (Regression(), [1.0, np.inf], [1, 2], ["labels: ", "1 of 2 values are NaN or infinite, the first in row 1"]),
        (Regression(), [{}, {}], [1, 2], ["labels: ", "got dict, shape (2,)"]),
    ],
)  # fmt: skip
def test_one_line_names_the_argument_what_was_expected_and_the_value(
    problem: Problem, labels: Any, scores: Any, told: list[str]
) -> None:
    with pytest.raises(InputError) as raised:
        problem.measure(labels, scores)
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith(told[0])
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, 2], ["1", "2"]),
        (pandas.Series([1, None]), ["1", None]),
        (pandas.Series([1, None], dtype="Int64"), ["1", None]),
        (pandas.Series(["a", None]), ["a", None]),
        (pandas.Series(["a", None], dtype="string"), ["a", None]),
        (pandas.Series(["a", None], dtype="category"), ["a", None]),
        (["a", None], ["a", None]),
        (np.asarray([b"a", b"b"]), ["a", "b"]),
        ([0.5, math.nan, math.inf], ["0.5", None, "inf"]),
        (pandas.Series(pandas.to_datetime(["2026-01-01", None])), ["2026-01-01 00:00:00", None]),
        (np.asarray(["2026-01-01", "NaT"], dtype="datetime64[ns]"), ["2026-01-01 00:00:00", None]),
        ([datetime(2026, 1, 1), None], ["2026-01-01 00:00:00", None]),
        ([pandas.Timestamp("2026-01-01"), pandas.NaT], ["2026-01-01 00:00:00", None]),
        (torch.tensor([1, 2]), ["1", "2"]),
    ],
)  # fmt: skip
def test_a_value_reads_the_same_from_any_library(values: Any, told: list[str | None]) -> None:
    assert texts(column("keys", values, "a value")) == told
