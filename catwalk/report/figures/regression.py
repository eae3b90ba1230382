"""Figures of a regression's errors: how large they are, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catwalk.problems.arrays import Floats
from catwalk.problems.intervals import Z_95
from catwalk.report.figures import style

_MOST_POINTS = 1_500
"""The most points that are drawn, chosen at random: each takes about 60 bytes of the page."""
_BINS = 40
_GROUPS = 10
"""Groups with the same number of examples, by true value."""
_WITHIN = (0.005, 0.995)
"""Quantiles that set the limits of an axis, because one outlier would flatten all other values."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's answers to n examples."""

    run_id: str
    truth: Floats
    """Shape (n,)."""
    values: Floats
    """Shape (n,)."""
    unit: str = ""

    @property
    def error(self) -> Floats:
        """The prediction minus the true value, shape (n,)."""
        return self.values - self.truth

    def name(self, what: str) -> str:
        """Returns the name of an axis, with its unit."""
        return f"{what} ({self.unit})" if self.unit else what


def predicted_against_true(predicted: Predicted) -> style.Drawing:
    """Draws one point per example; correct predictions are on the diagonal."""
    figure, axes = _square()
    low, high = _limits(np.concatenate([predicted.truth, predicted.values]))
    axes.plot([low, high], [low, high], color=style.QUIET, linewidth=1, dashes=(4, 3), label="exact prediction")
    rows = _lot(len(predicted.truth))
    x, y = (np.clip(values[rows], low, high) for values in (predicted.truth, predicted.values))
    _points(axes, x, y, predicted.run_id, "example")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    style.label(axes, predicted.name("true value"), predicted.name("predicted value"))
    style.legend(axes, "upper left")
    mae, rmse = _mae(predicted), float(np.sqrt(np.square(predicted.error).mean()))
    correlation = _correlation(predicted)
    alt = (
        f"Points of predicted value by true value, beside the diagonal, from {low:.4g} to {high:.4g}. Mean absolute "
        f"error {mae:.4g}, RMSE {rmse:.4g}{correlation}, over {len(predicted.truth):,} examples."
    )
    beyond = (
        (predicted.truth < low) | (predicted.truth > high) | (predicted.values < low) | (predicted.values > high)
    ).sum()
    note = style.sentences(_chosen(rows, predicted), _at_edge(int(beyond)))
    return style.Drawing(figure, f"Predicted against true, mean absolute error {mae:.4g}", alt, note)


def _errors_by_value(axes: Axes, predicted: Predicted, rows: NDArray[np.int64], limits: tuple[float, float]) -> None:
    across = _limits(predicted.values)
    values, errors = np.clip(predicted.values[rows], *across), np.clip(predicted.error[rows], *limits)
    _points(axes, values, errors, predicted.run_id, "")
    axes.axhline(0, color=style.QUIET, linewidth=1, dashes=(4, 3))
    axes.set_xlim(*across)
    axes.set_ylim(*limits)
    style.label(axes, predicted.name("predicted value"), predicted.name("error: predicted − true"))


def _errors_by_size(axes: Axes, predicted: Predicted, bias: float, limits: tuple[float, float]) -> None:
    colour = style.run_style(predicted.run_id).colour
    weights = np.full(len(predicted.error), 1 / len(predicted.error))
    axes.hist(np.clip(predicted.error, *limits), bins=_BINS, range=limits, weights=weights, color=colour)
    axes.axvline(0, color=style.QUIET, linewidth=1, dashes=(4, 3))
    axes.axvline(bias, color=style.INK, linewidth=1.2, label=f"mean {bias:+.3g}")
    axes.set_xlim(*limits)
    style.percent_axis(axes.yaxis)
    style.label(axes, predicted.name("error"), "share of the test examples")
    style.legend(axes, "upper right")


def residuals(predicted: Predicted) -> style.Drawing:
    """Draws the error of each example by predicted value; below, how often each error occurs."""
    figure = style.new_figure(4.5)
    upper = style.add_axes(figure, 0.72, 2.02, 3.4, 2.2)
    lower = style.add_axes(figure, 0.72, 0.45, 3.4, 0.95)
    low, high = _limits(predicted.error)
    rows = _lot(len(predicted.truth))
    bias, median = float(predicted.error.mean()), float(np.median(predicted.error))
    _errors_by_value(upper, predicted, rows, (low, high))
    _errors_by_size(lower, predicted, bias, (low, high))
    tenth, most = np.quantile(predicted.error, (0.1, 0.9))
    alt = (
        f"Errors by predicted value, and their distribution: mean {bias:+.4g}, median {median:+.4g}, eight in ten "
        f"between {tenth:+.4g} and {most:+.4g}."
    )
    beyond = int(((predicted.error < low) | (predicted.error > high)).sum())
    lean = "too high" if bias > 0 else "too low"
    note = style.sentences(f"Overall {lean} by {abs(bias):.3g}.", _chosen(rows, predicted), _at_edge(beyond))
    return style.Drawing(figure, f"Errors, mean {bias:+.3g}", alt, note)


def error_by_quantile(predicted: Predicted, champion: Predicted | None = None) -> style.Drawing:
    """Draws the mean absolute error of each tenth of the examples by true value, with 95 % intervals, beside the
    champion's.
    """
    groups = _groups(predicted.truth)
    figure = style.new_figure(3.4 if champion else 3.2)
    axes = style.add_axes(figure, 0.62, 0.72, 3.5, 1.95)
    group_errors = _by_group(
        axes, predicted, groups, "this run" if champion is None else "challenger", -0.12 if champion else 0.0
    )
    if champion is not None:
        _by_group(axes, champion, groups, "champion", 0.12)
    ends = [(float(predicted.truth[rows].min()), float(predicted.truth[rows].max())) for rows in groups]
    axes.set_xticks(
        range(len(groups)), [f"{low:.3g}" for low, _ in ends], rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(bottom=0)
    style.label(axes, predicted.name("true value, from"), predicted.name("mean absolute error, 95 % interval"))
    style.legend_above(axes, lift=0.26)
    alt = "Mean absolute error by true value: " + ", ".join(
        f"{low:.3g} to {high:.3g}: {value:.3g}" for (low, high), value in zip(ends, group_errors, strict=True)
    )
    worst = int(np.argmax(group_errors))
    note = (
        f"Each of the {len(groups)} groups has about {len(groups[0]):,} examples. The largest error, "
        f"{group_errors[worst]:.3g}, is between {ends[worst][0]:.3g} and {ends[worst][1]:.3g}."
    )
    return style.Drawing(figure, "Error by true value", f"{alt}.", note)


def _by_group(axes: Axes, predicted: Predicted, groups: list[NDArray[Any]], role: str, shift: float) -> list[float]:
    losses = [np.abs(predicted.error[rows]) for rows in groups]
    means = [float(loss.mean()) for loss in losses]
    half = [Z_95 * float(loss.std(ddof=1)) / len(loss) ** 0.5 if len(loss) > 1 else 0.0 for loss in losses]
    colour = style.run_style(predicted.run_id).colour
    champion = role == "champion"
    axes.errorbar(
        [index + shift for index in range(len(groups))],
        means,
        yerr=half,
        linestyle="none",
        marker="D" if champion else "o",
        markersize=4.2,
        color=colour,
        markerfacecolor=style.PAPER if champion else colour,
        elinewidth=0.9 if champion else 1.5,
        capsize=2,
        label=f"{role}, {predicted.run_id}",
    )
    return means


def _groups(truth: Floats) -> list[NDArray[Any]]:
    """Returns the rows of groups of about the same size, by true value; equal values stay together."""
    cuts = np.unique(np.quantile(truth, np.linspace(0, 1, _GROUPS + 1)[1:-1]))
    group = np.searchsorted(cuts, truth, side="right")
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def _square() -> tuple[Figure, Axes]:
    figure = style.new_figure(3.95)
    return figure, style.add_axes(figure, 0.72, 0.45, 3.2, 3.2)


def _points(axes: Axes, x: Floats, y: Floats, run_id: str, name: str) -> None:
    """Draws small, half transparent points, so that dense areas are darker."""
    colour = style.run_style(run_id).colour
    axes.plot(x, y, linestyle="none", marker="o", markersize=2.2, alpha=0.45, color=colour, mew=0, label=name or None)


def _limits(values: Floats) -> tuple[float, float]:
    """Returns the limits of an axis: quantiles, and some margin."""
    low, high = (float(value) for value in np.quantile(values, _WITHIN))
    room = 0.06 * (high - low) or max(abs(low), 1.0) * 0.1
    return low - room, high + room


def _lot(n: int) -> NDArray[Any]:
    """Returns the rows to draw, the same each time."""
    rows = np.arange(n)
    return rows if n <= _MOST_POINTS else np.sort(np.random.default_rng(0).choice(rows, _MOST_POINTS, replace=False))


def _chosen(rows: NDArray[Any], predicted: Predicted) -> str:
    n = len(predicted.truth)
    return f"{len(rows):,} of the {n:,} examples, chosen at random." if len(rows) < n else ""


def _at_edge(beyond: int) -> str:
    return f"{beyond:,} examples are farther out and shown at the edge." if beyond else ""


def _mae(predicted: Predicted) -> float:
    return float(np.abs(predicted.error).mean())


def _correlation(predicted: Predicted) -> str:
    if not predicted.truth.std() or not predicted.values.std():
        return ""
    return f", correlation {np.corrcoef(predicted.truth, predicted.values)[0, 1]:.3f}"
