"""Curves of losses and accuracies of several runs; each run looks the same in every figure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from catwalk.ledger.records.training import EpochRecord
from catwalk.ledger.records.values import is_finite
from catwalk.problems.interface import Metric, Problem
from catwalk.problems.intervals import half_width, wilson
from catwalk.report.comparison.differences import Comparison
from catwalk.report.comparison.entries import Entry
from catwalk.report.facts import MissingError
from catwalk.report.figures import style
from catwalk.report.figures.curves import finite, value_text

_NAMED = 60
"""The most runs that a legend lists."""
_MARKED_RUNS = 8
_MARKED_EPOCHS = 30


def loss(comparison: Comparison) -> style.Drawing:
    """Draws the validation and train loss of all runs."""
    stages = not any(entry.logs for entry in comparison.entries)
    return _curves(comparison, "loss", "mean cross-entropy in nats" if stages else "", ".4f")


def accuracy(comparison: Comparison) -> style.Drawing:
    """Draws the validation and train accuracy of all runs."""
    return _curves(comparison, "accuracy", "", ".2%")


def other(name: str) -> Callable[[Comparison], style.Drawing]:
    """Returns the function that draws any other metric of epochs, for all runs."""
    return lambda comparison: _curves(comparison, name, "", ".4g")


def others(comparison: Comparison) -> list[str]:
    """Returns the metrics of epochs other than loss and accuracy, the most common first."""
    counts = Counter(
        name
        for entry in comparison.entries
        if entry.training.value
        for name in {
            name for epoch in entry.training.value.epochs for values in epoch.metrics.values() for name in values
        }
    )
    return sorted(set(counts) - {"loss", "accuracy"}, key=lambda name: (-counts[name], name))


Trained = Sequence[tuple[Entry, Sequence[EpochRecord]]]
"""Runs, each with its finished epochs."""


def _curves(comparison: Comparison, field: str, unit: str, form: str) -> style.Drawing:
    trained = _trained(comparison, field)
    if not trained:
        logged = all(entry.logs for entry in comparison.entries)
        raise MissingError("" if logged else f"None of these runs has finished an epoch with {field}.")
    splits = _splits(trained, field)
    named = len(trained) <= _NAMED
    rows = math.ceil(len(trained) / 2) if named else 0
    below = 0.132 * rows + (0.16 if rows else 0)
    figure = style.new_figure(2.18 * len(splits) + 0.04 + below)
    handles: list[Line2D] = []
    cut = False
    for number, split in enumerate(reversed(splits)):
        axes = style.add_axes(figure, 0.52, 0.42 + 2.18 * number + below, 3.6, 1.55)
        handles, values = _lines(axes, comparison, trained, split, field)
        style.epoch_axis(axes, [1, _last(trained)])
        if field == "accuracy":
            style.percent_axis(axes.yaxis)
        cut = _zoom(axes, values) or cut
        name = f"{split} {words_of(field)}" + (f", {unit}" if unit else "")
        style.label(axes, "" if number else comparison.axis, name)
    if named:
        _legend(figure, handles)
    by_run = "; ".join(
        f"{entry.run_id} {value_text(epochs[-1].scores.get(splits[0], {}).get(field), form)} after {_lasted(entry)}"
        for entry, epochs in trained
    )
    alt = f"Curves of {len(trained)} runs by {comparison.axis}, {splits[0]} {words_of(field)} at the end: {by_run}."
    title = f"{words_of(field)} by {comparison.axis}"
    return style.Drawing(figure, title[:1].upper() + title[1:], alt, _note(comparison, len(trained), cut))


def _lasted(entry: Entry) -> str:
    training = entry.training.get()
    return f"{len(training.epochs)} {training.axis}s"


def words_of(name: str) -> str:
    """Returns a metric's name in words."""
    return name.replace("_", " ")


def _splits(trained: Trained, field: str) -> list[str]:
    """Returns the splits in which any run has this metric: validation first, train last."""
    records = [epoch.scores for _, epochs in trained for epoch in epochs]
    found = {split for scores in records for split, values in scores.items() if field in values}
    return sorted(found, key=lambda split: (split != "validation", split == "train", split))


def _trained(comparison: Comparison, field: str) -> Trained:
    """Returns the runs that have logged this metric, in any split."""
    return [
        (entry, epochs)
        for entry in comparison.entries
        if entry.training.value and (epochs := entry.training.value.epochs)
        if any(field in values for epoch in epochs for values in epoch.scores.values())
    ]


def _last(trained: Trained) -> int:
    return max(epochs[-1].epoch for _, epochs in trained)


def _lines(
    axes: Axes, comparison: Comparison, trained: Trained, split: str, field: str
) -> tuple[list[Line2D], list[float]]:
    """Draws a line per run; returns the lines, and all finite values."""
    handles: list[Line2D] = []
    values: list[float] = []
    few = len(trained) <= _MARKED_RUNS
    marked = few and _last(trained) <= _MARKED_EPOCHS
    for entry, epochs in trained:
        look, is_baseline = style.run_style(entry.run_id), entry is comparison.baseline
        own = [finite(record.scores.get(split, {}).get(field)) for record in epochs]
        values += [value for value in own if math.isfinite(value)]
        (line,) = axes.plot(
            [record.epoch for record in epochs],
            own,
            color=look.colour,
            linewidth=2.4 if is_baseline else 1.2,
            alpha=1.0 if few or is_baseline else 0.8,
            marker=look.marker if marked or len(epochs) == 1 else None,
            markersize=3.2,
            label=entry.run_id + (", baseline" if is_baseline else ""),
        )
        if look.dashes:
            line.set_dashes(look.dashes)
        handles.append(line)
    return handles, values


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.0),
        ncols=2,
        fontsize=6.8,
        labelcolor=style.INK,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.0,
        handletextpad=0.5,
        labelspacing=0.35,
    )


def _note(comparison: Comparison, shown: int, cut: bool) -> str:
    runs = len(comparison.entries)
    return style.sentences(
        "" if shown <= _NAMED else "The table of runs shows each run's line.",
        "Values far from all others are outside the chart." if cut else "",
        f"{runs - shown} of {runs} runs have no epoch to show." if shown < runs else "",
    )


def _zoom(axes: Axes, values: Sequence[float]) -> bool:
    """Limits the y axis to the range of most values, because one run that diverged would flatten all others.

    Returns whether any value lies outside.
    """
    if not values:
        return False
    low, high = (float(bound) for bound in np.percentile(values, (10, 90)))
    reach = 3 * (high - low) or 0.05 * abs(high) or 1.0
    bottom, top = max(min(values), low - reach), min(max(values), high + reach)
    margin = 0.05 * (top - bottom) or 0.01
    axes.set_ylim(bottom - margin, top + margin)
    return bottom > min(values) or top < max(values)


def test_headline(comparison: Comparison) -> style.Drawing:
    """Draws the baseline's headline metric for each run that has it, with its interval, the best on top."""
    problem = comparison.baseline.problem
    metric, found = problem.metrics[0], _tested(comparison, problem)
    step = 0.2
    figure = style.new_figure(0.62 + step * len(found))
    axes = style.add_axes(figure, 1.78, 0.42, 2.36, step * len(found))
    for row, (entry, value) in enumerate(found):
        look = style.run_style(entry.run_id)
        _interval(axes, row, look, value, _bounds(entry, metric, value))
        if entry is comparison.baseline:
            axes.axvline(value, color=look.colour, linewidth=0.9, dashes=(4, 3), zorder=1)
    _name_rows(axes, [entry.run_id for entry, _ in found], comparison.baseline.run_id)
    if metric.unit == "ratio":
        style.percent_axis(axes.xaxis)
    axes.locator_params(axis="x", nbins=4)
    unit = "" if metric.unit in ("ratio", "") else f" in {metric.unit}"
    style.label(axes, f"test {metric.title}{unit}, 95 % interval")
    by_run = "; ".join(f"{entry.run_id} {metric.text(value)}" for entry, value in found)
    left = len(comparison.entries) - len(found)
    note = style.sentences(
        f"Bold and dashed line: the baseline {comparison.baseline.run_id}.",
        "" if metric.goal == "maximize" else "Lower is better.",
        f"{left} of {len(comparison.entries)} runs have no test result, or are of another kind." if left else "",
    )
    title = f"Test {metric.title}"
    return style.Drawing(figure, title, f"{title} of {len(found)} runs, the best first: {by_run}.", note)


def _tested(comparison: Comparison, problem: Problem) -> list[tuple[Entry, float]]:
    """Returns the runs of this kind of problem with their headline metric, the best first.

    Raises:
        MissingError: there is none.
    """
    metric = problem.metrics[0]
    alike = [entry for entry in comparison.entries if entry.problem.kind == problem.kind]
    scored = [(entry, entry.scores.get(metric.name)) for entry in alike]
    found = [(entry, value) for entry, value in scored if is_finite(value)]
    if not found:
        raise MissingError("None of these runs has been tested.")
    return sorted(found, key=lambda one: -metric.gain(one[1]))


def _name_rows(axes: Axes, run_ids: Sequence[str], bold: str) -> None:
    """Labels one row per run, the first on top."""
    axes.set_yticks(range(len(run_ids)), run_ids)
    for text, run_id in zip(axes.get_yticklabels(), run_ids, strict=True):
        text.set_fontsize(7)
        text.set_color(style.INK)
        text.set_fontweight("bold" if run_id == bold else "normal")
    axes.set_ylim(len(run_ids) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _bounds(entry: Entry, metric: Metric, value: float) -> tuple[float, float]:
    """Returns Wilson's interval for an accuracy, an interval by the standard error for a mean loss, or the value
    itself.
    """
    if metric.name == "accuracy" and entry.evaluation.value:
        examples = entry.evaluation.value.examples
        return wilson(round(value * examples), examples)
    half = half_width(entry.answers.value.loss) if entry.answers.value else 0.0
    return value - half, value + half


def _interval(axes: Axes, row: int, look: style.RunStyle, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    axes.errorbar(
        [value],
        [row],
        xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
        marker=look.marker,
        color=look.colour,
        markersize=4.5,
        elinewidth=1.2,
        capsize=2,
    )
