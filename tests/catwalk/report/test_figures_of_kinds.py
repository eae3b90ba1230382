"""Figures of regressions and binary models: legible, nothing cut off, their main numbers in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from catwalk.problems import Binary
from catwalk.report.facts import MissingError
from catwalk.report.figures import binary, regression, style
from tests.catwalk.report.conftest import CHAMPION, RUN
from tests.catwalk.report.test_figures import check_drawing, check_legible

pytestmark = pytest.mark.drawing


def predicted(n: int = 5_000, scale: float = 1.0, run_id: str = RUN, unit: str = "EUR") -> regression.Predicted:
    random = np.random.default_rng(n)
    truth = scale * np.exp(random.normal(3, 0.8, n))
    return regression.Predicted(run_id, truth, truth + scale * random.standard_t(3, n), unit)


def scored(n: int = 5_000, share: float = 0.05) -> binary.Scored:
    random = np.random.default_rng(n)
    positive = np.arange(n) < max(1, round(share * n))
    return binary.Scored(RUN, positive, 1 / (1 + np.exp(4 - random.normal(2 * positive, 1))))


REGRESSION: dict[str, Callable[[regression.Predicted], style.Drawing]] = {
    "predicted_against_true": regression.predicted_against_true,
    "residuals": regression.residuals,
    "error_by_quantile": regression.error_by_quantile,
    "beside_the_champion": lambda found: regression.error_by_quantile(found, predicted(len(found.truth), 1, CHAMPION)),
}
BINARY: dict[str, Callable[[binary.Scored], style.Drawing]] = {
    "roc": binary.roc,
    "precision_recall": binary.precision_recall,
    "threshold_table": binary.threshold_table,
    "with_costs": lambda found: binary.threshold_table(found, (1, 25), 0.1),
}


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize(("n", "scale"), [(1, 1), (12, 1), (5_000, 1), (5_000, 1e6), (5_000, 1e-6)])
def test_a_regression_of_any_size_and_scale(name: str, n: int, scale: float) -> None:
    drawing = REGRESSION[name](predicted(n, scale))
    check_drawing(drawing)
    check_legible(drawing)
    assert len(style.as_svg(drawing)) < 400_000


@pytest.mark.parametrize("name", REGRESSION)
def test_constant_values_are_drawn_too(name: str) -> None:
    check_drawing(REGRESSION[name](regression.Predicted(RUN, np.full(40, 3.0), np.full(40, 3.5))))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("n", "share"), [(2, 0.5), (300, 0.5), (5_000, 0.01), (200_000, 0.01)])
def test_a_binary_model_of_any_size(name: str, n: int, share: float) -> None:
    drawing = BINARY[name](scored(n, share))
    check_drawing(drawing)
    check_legible(drawing)
    assert len(style.as_svg(drawing)) < 400_000


@pytest.mark.parametrize("name", BINARY)
def test_of_one_class_there_is_nothing_to_draw(name: str) -> None:
    with pytest.raises(MissingError, match="belong to one class"):
        BINARY[name](binary.Scored(RUN, np.zeros(9, dtype=bool), np.arange(9.0)))


def test_the_text_has_the_numbers_of_the_metrics() -> None:
    found = scored()
    metrics = Binary().measure(found.positive, found.score).metrics
    assert f"area under the curve {metrics['auc']:.4f}" in binary.roc(found).title
    assert f"average precision {metrics['average_precision']:.4f}" in binary.precision_recall(found).title
    errors = regression.Predicted(RUN, np.zeros(4), np.array([1.0, -1.0, 2.0, 4.0]), "s")
    assert "Mean absolute error 2, RMSE 2.345, over 4 examples." in regression.predicted_against_true(errors).alt
    assert "mean +1.5, median +1.5" in regression.residuals(errors).alt
    assert regression.residuals(errors).note.startswith("Overall too high by 1.5.")


def test_outliers_are_shown_at_the_edge_and_counted() -> None:
    truth = np.arange(1_000.0)
    values = truth.copy()
    values[:3] = 1e9
    drawing = regression.predicted_against_true(regression.Predicted(RUN, truth, values))
    assert drawing.figure.axes[0].get_ylim()[1] < 1_200
    assert "3 examples are farther out" in drawing.note


def test_equal_values_stay_in_one_group() -> None:
    truth = np.repeat([0.0, 1.0, 5.0], [600, 300, 100])
    drawing = regression.error_by_quantile(
        regression.Predicted(RUN, truth, truth + np.repeat([1.0, 2.0, 4.0], [600, 300, 100]))
    )
    assert drawing.alt == "Mean absolute error by true value: 0 to 0: 1, 1 to 1: 2, 5 to 5: 4."


def test_the_cheapest_threshold_and_the_one_in_use_are_bold() -> None:
    positive = np.array([True] * 10 + [False] * 990)
    score = np.concatenate([np.full(8, 0.9), np.full(2, 0.3), np.full(20, 0.5), np.linspace(0.01, 0.2, 970)])
    drawing = binary.threshold_table(binary.Scored(RUN, positive, score), (1, 100), 0.9)
    bold: list[Any] = [text.get_text() for text in drawing.figure.texts if text.get_fontweight() == "bold"]
    assert bold == ["0.9", "8", "8", "100.0%", "80.0%", "200", "0.3", "30", "10", "33.3%", "100.0%", "20"]
    assert drawing.note.endswith("Bold: the threshold in use and the lowest cost.")
