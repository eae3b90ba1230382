"""Figures of how well a binary model ranks, and of the effect of a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catwalk.problems.arrays import Floats
from catwalk.problems.ranking import average_precision, curve, placements
from catwalk.report.facts import MissingError
from catwalk.report.figures import style

_MOST_POINTS = 400
"""The most points of a curve."""
_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""The approximate share of the examples that each row's threshold classifies as positive."""
_COLUMNS = ("threshold", "positive", "correct", "precision", "recall", "cost")
_EDGES = (0.86, 1.5, 2.05, 2.78, 3.4, 4.05)
"""The right edges of the columns, in inches."""
_ROW = 0.21
"""The height of a row, in inches."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's answers to n examples."""

    run_id: str
    positive: NDArray[np.bool_]
    """Shape (n,)."""
    score: Floats
    """Shape (n,), higher for examples that are more likely positive."""

    def points(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Returns thresholds, true positives, false positives and precisions, for every threshold that changes a
        prediction, from the highest down.

        Raises:
            MissingError: there is only one class.
        """
        if self.positive.all() or not self.positive.any():
            raise MissingError("All test examples belong to one class, so there is nothing to rank.")
        threshold, hits, false = curve(self.positive, self.score)
        return threshold, hits.astype(float), false.astype(float), hits / (hits + false)


def roc(scored: Scored) -> style.Drawing:
    """Draws the true positive rate by the false positive rate."""
    _, hits, false, _ = scored.points()
    x, y = np.append(0, false / false[-1]), np.append(0, hits / hits[-1])
    auc = float(placements(scored.positive, scored.score)[scored.positive].mean())
    figure, axes = _unit_square()
    axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=1, dashes=(4, 3), label="by chance")
    _curve(axes, x, y, f"this run, AUC {auc:.4f}", scored.run_id)
    style.label(axes, "false positive rate", "true positive rate")
    style.legend(axes, "lower right")
    described = ", ".join(f"{np.interp(at, x, y):.1%} at {at:.0%}" for at in (0.01, 0.05, 0.1, 0.2))
    alt = f"The ROC curve; area under the curve {auc:.4f}. True positive rate by false positive rate: {described}."
    return style.Drawing(figure, f"ROC, area under the curve {auc:.4f}", alt, _counts(scored))


def precision_recall(scored: Scored) -> style.Drawing:
    """Draws precision by recall, beside what chance would reach."""
    _, hits, _, precision = scored.points()
    recall = hits / hits[-1]
    share, area = float(scored.positive.mean()), average_precision(scored.positive, scored.score)
    figure, axes = _unit_square()
    axes.axhline(share, color=style.QUIET, linewidth=1, dashes=(4, 3), label=f"by chance, {share:.1%}")
    _curve(axes, recall, precision, f"this run, average precision {area:.4f}", scored.run_id)
    style.label(axes, "recall: share of the positives found", "precision: correct, of predicted positives")
    style.legend(axes, "upper right")
    described = ", ".join(f"{precision[np.searchsorted(recall, at)]:.1%} at {at:.0%}" for at in (0.1, 0.25, 0.5, 0.75))
    alt = f"Precision by recall, average precision {area:.4f}. Precision by recall: {described}."
    return style.Drawing(figure, f"Precision and recall, average precision {area:.4f}", alt, _counts(scored))


def threshold_table(
    scored: Scored, costs: Sequence[float] | None = None, threshold: float | None = None
) -> style.Drawing:
    """Draws a table of the effect of thresholds, with the cost if the costs of a false positive and a false negative
    are known.

    Args:
        scored: The model's answers.
        costs: The costs of a false positive and of a false negative.
        threshold: The threshold in use, which has its own row.
    """
    rows, marked = _rows(scored, costs, threshold)
    columns = _COLUMNS if costs else _COLUMNS[:-1]
    figure = style.new_figure(0.12 + _ROW * (len(rows) + 1))
    for column, name in enumerate(columns):
        _cell(figure, 0, len(rows), column, name, style.QUIET)
    for number, row in enumerate(rows, start=1):
        for column, text in enumerate(row[: len(columns)]):
            _cell(figure, number, len(rows), column, text, style.INK, bold=number - 1 in marked)
    described = "; ".join(", ".join(f"{name} {text}" for name, text in zip(columns, row, strict=False)) for row in rows)
    words = ["Thresholds that would classify from 1 in 1,000 to half of the examples as positive."]
    if costs:
        words.append(
            f"Cost of 1,000 examples, at {costs[0]:g} per false positive and {costs[1]:g} per missed positive."
        )
    if marked:
        words.append("Bold: " + " and ".join(dict.fromkeys(marked.values())) + ".")
    return style.Drawing(figure, "Thresholds", f"A table of thresholds: {described}.", style.sentences(*words))


def _rows(
    scored: Scored, costs: Sequence[float] | None, named: float | None
) -> tuple[list[tuple[str, ...]], dict[int, str]]:
    """Returns the texts of each row, and for each bold row the reason."""
    threshold, hits, false, precision = scored.points()
    n, positives = len(scored.score), hits[-1]
    taken = hits + false
    cost = 1_000 * (costs[0] * false + costs[1] * (positives - hits)) / n if costs else None
    chosen = {int(np.abs(taken - share * n).argmin()): "" for share in _SHARES}
    if cost is not None:
        chosen[int(cost.argmin())] = "the lowest cost"
    if named is not None and (threshold >= named).any():
        at = int((threshold >= named).sum()) - 1
        chosen[at] = " and ".join(filter(None, (chosen.get(at, ""), "the threshold in use")))
    order = sorted(chosen)
    rows: list[tuple[str, ...]] = [
        (
            f"{threshold[at]:.4g}",
            f"{int(taken[at]):,}",
            f"{int(hits[at]):,}",
            f"{precision[at]:.1%}",
            f"{hits[at] / positives:.1%}",
            "" if cost is None else f"{cost[at]:.4g}",
        )
        for at in order
    ]
    return rows, {row: chosen[at] for row, at in enumerate(order) if chosen[at]}


def _cell(figure: Figure, row: int, rows: int, column: int, text: str, colour: str, bold: bool = False) -> None:
    width, height = figure.get_size_inches()
    inches = 0.06 + _ROW * (rows - row + 0.5)
    figure.text(
        _EDGES[column] / width,
        inches / height,
        text,
        color=colour,
        fontsize=style.SMALL,
        fontweight="bold" if bold else "normal",
        ha="right",
        va="center",
    )


def _unit_square() -> tuple[Figure, Axes]:
    figure = style.new_figure(3.95)
    axes = style.add_axes(figure, 0.62, 0.45, 3.3, 3.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    style.percent_axis(axes.xaxis)
    style.percent_axis(axes.yaxis)
    return figure, axes


def _curve(axes: Axes, x: Any, y: Any, name: str, run_id: str) -> None:
    """Draws at most `_MOST_POINTS` points of a curve, densest at its start, where thresholds are."""
    if len(x) > _MOST_POINTS:
        steps = np.unique(np.geomspace(1, len(x), _MOST_POINTS).astype(int)) - 1
        x, y = x[steps], y[steps]
    axes.plot(x, y, color=style.run_style(run_id).colour, linewidth=1.6, label=name)


def _counts(scored: Scored) -> str:
    return f"{int(scored.positive.sum()):,} of {len(scored.positive):,} test examples are positive."
