"""Losses and accuracies of several runs at once; each run looks as it does everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from catwalk.ledger.records import EpochRecord, is_finite
from catwalk.report.comparison.differences import Comparison
from catwalk.report.comparison.entries import Entry
from catwalk.report.facts import MissingError
from catwalk.report.figures import style
from catwalk.report.figures.curves import finite
from catwalk.report.figures.curves import told as words
from catwalk.report.statistics import wilson

_NAMED = 60
"""Up to so many runs a legend names each."""
_MARKED_RUNS = 8
_MARKED_EPOCHS = 30


def loss(comparison: Comparison) -> style.Drawing:
    """Validation and train loss of all runs."""
    return _curves(comparison, "loss", "mean cross-entropy in nats", ".4f")


def accuracy(comparison: Comparison) -> style.Drawing:
    """Validation and train accuracy of all runs."""
    return _curves(comparison, "accuracy", "", ".2%")


Trained = Sequence[tuple[Entry, Sequence[EpochRecord]]]
"""Runs, each with the epochs that it has finished."""


def _curves(comparison: Comparison, field: str, unit: str, form: str) -> style.Drawing:
    trained = _trained(comparison, field)
    if not trained:
        raise MissingError(f"None of these runs has finished an epoch with {field}.")
    named = len(trained) <= _NAMED
    rows = math.ceil(len(trained) / 2) if named else 0
    below = 0.132 * rows + (0.16 if rows else 0)
    figure = style.new_figure(4.4 + below)
    handles: list[Line2D] = []
    cut = False
    for bottom, split in ((2.6 + below, "validation"), (0.42 + below, "train")):
        axes = style.add_axes(figure, 0.52, bottom, 3.6, 1.55)
        handles, values = _lines(axes, comparison, trained, f"{split}_{field}")
        style.epoch_axis(axes, [1, _last(trained)])
        if field == "accuracy":
            style.percent_axis(axes.yaxis)
        cut = _zoom(axes, values) or cut
        style.label(axes, "epoch" if split == "train" else "", f"{split} {field}" + (f", {unit}" if unit else ""))
    if named:
        _legend(figure, handles)
    told = "; ".join(
        f"{entry.run_id} {words(getattr(epochs[-1], f'validation_{field}'), form)} after {len(epochs)} epochs"
        for entry, epochs in trained
    )
    alt = f"Curves of {len(trained)} runs, validation {field} at the end: {told}."
    return style.Drawing(figure, f"{field.capitalize()} by epoch", alt, _note(comparison, len(trained), cut))


def _trained(comparison: Comparison, field: str) -> Trained:
    """The runs that have logged it, of either split."""
    names = [f"{split}_{field}" for split in ("validation", "train")]
    return [
        (entry, epochs)
        for entry in comparison.entries
        if entry.training.value and (epochs := entry.training.value.epochs)
        if any(getattr(epoch, name) is not None for epoch in epochs for name in names)
    ]


def _last(trained: Trained) -> int:
    return max(epochs[-1].epoch for _, epochs in trained)


def _lines(axes: Axes, comparison: Comparison, trained: Trained, field: str) -> tuple[list[Line2D], list[float]]:
    """Draws a line a run; returns the lines, and all finite values."""
    handles: list[Line2D] = []
    values: list[float] = []
    few = len(trained) <= _MARKED_RUNS
    marked = few and _last(trained) <= _MARKED_EPOCHS
    for entry, epochs in trained:
        look, is_baseline = style.run_style(entry.run_id), entry is comparison.baseline
        own = [finite(getattr(record, field)) for record in epochs]
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
        "" if shown <= _NAMED else "The table of runs shows which line is whose.",
        "Values far from all others lie outside the chart." if cut else "",
        f"{runs - shown} of {runs} runs have no epoch to show." if shown < runs else "",
    )


def _zoom(axes: Axes, values: Sequence[float]) -> bool:
    """Limits the y axis to where most values are, or one run that diverged would flatten all others.

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


def test_accuracy(comparison: Comparison) -> style.Drawing:
    """Test accuracy of each run with its Wilson interval, the best on top."""
    scored = [(entry, entry.evaluation.value) for entry in comparison.entries if entry.evaluation.value]
    tested = [(entry, found.accuracy, found.examples) for entry, found in scored if is_finite(found.accuracy)]
    if not tested:
        raise MissingError("None of these runs has been tested.")
    tested.sort(key=lambda found: -found[1])
    step = 0.2
    figure = style.new_figure(0.62 + step * len(tested))
    axes = style.add_axes(figure, 1.78, 0.42, 2.36, step * len(tested))
    for row, (entry, accuracy, examples) in enumerate(tested):
        look = style.run_style(entry.run_id)
        _interval(axes, row, look, accuracy, examples)
        if entry is comparison.baseline:
            axes.axvline(accuracy, color=look.colour, linewidth=0.9, dashes=(4, 3), zorder=1)
    axes.set_yticks(range(len(tested)), [entry.run_id for entry, _, _ in tested])
    for text, (entry, _, _) in zip(axes.get_yticklabels(), tested, strict=True):
        text.set_fontsize(7)
        text.set_color(style.INK)
        text.set_fontweight("bold" if entry is comparison.baseline else "normal")
    axes.set_ylim(len(tested) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    style.percent_axis(axes.xaxis)
    axes.locator_params(axis="x", nbins=5)
    style.label(axes, "test accuracy, 95 % interval")
    told = "; ".join(f"{entry.run_id} {accuracy:.2%}" for entry, accuracy, _ in tested)
    note = f"Bold, and the dashed line: the baseline {comparison.baseline.run_id}."
    return style.Drawing(figure, "Test accuracy", f"Test accuracy of {len(tested)} runs, the best first: {told}.", note)


def _interval(axes: Axes, row: int, look: style.RunStyle, accuracy: float, examples: int) -> None:
    low, high = wilson(round(accuracy * examples), examples)
    axes.errorbar(
        [accuracy],
        [row],
        xerr=[[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]],
        marker=look.marker,
        color=look.colour,
        markersize=4.5,
        elinewidth=1.2,
        capsize=2,
    )
