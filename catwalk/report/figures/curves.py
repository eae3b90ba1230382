"""Figures of training, epoch by epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.ledger.records.values import is_finite
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import style

_MARKED_EPOCHS = 30
"""The most epochs at which each has a marker."""
_MOST_OTHERS = 8
"""The most charts of metrics other than loss and accuracy."""
_STYLES: dict[str, dict[str, Any]] = {
    "train": {"dashes": (3, 1.5), "marker": "s", "markersize": 2.8},
    "validation": {"marker": "o", "markersize": 3.2, "linewidth": 1.8},
}
_ANOTHER: dict[str, Any] = {"dashes": (1.2, 1.4), "marker": "^", "markersize": 3.2}
"""The style of any other split."""


def loss_and_accuracy(facts: Facts) -> style.Drawing:
    """Draws loss and accuracy of each split, if logged; marks the epoch with the lowest validation loss."""
    training = facts.training.get()
    epochs = _some(facts, training.epochs)
    shown = [name for name in ("loss", "accuracy") if name in _logged(epochs)]
    if not shown:
        raise MissingError("")
    colour, best = style.run_style(facts.run_id).colour, training.best
    figure, charts = _charts(training, shown, colour)
    for name, axes in charts.items():
        if name == "loss" and _is_steep([finite(value) for of in _of(epochs, name).values() for value in of]):
            axes.set_yscale("log")
        if name == "accuracy":
            style.percent_axis(axes.yaxis)
        unit = ", mean cross-entropy in nats" if name == "loss" and not facts.logs else ""
        style.label(axes, y=name + unit)
        if best:
            value = best.scores.get("validation", {}).get(name)
            _mark_best(axes, f"best {training.axis}, {best.epoch}", best.epoch, value, colour)
        style.legend(axes, "upper right" if name == "loss" else "lower right")
    title = f"{' and '.join(shown).capitalize()} by {training.axis}"
    return style.Drawing(figure, title, _alt(training, shown, best), _note(facts, training))


def other_metrics(facts: Facts) -> style.Drawing:
    """Draws all other metrics of epochs, one chart per metric."""
    training = facts.training.value or TrainingRecord(1, [])
    epochs = training.epochs
    others = [name for name in _logged(epochs) if name not in ("loss", "accuracy")]
    if not others:
        raise MissingError("")
    shown = others[:_MOST_OTHERS]
    figure, charts = _charts(training, shown, style.run_style(facts.run_id).colour)
    for name, axes in charts.items():
        style.label(axes, y=name.replace("_", " "))
        style.legend(axes, "lower right" if _rises(_of(epochs, name)) else "upper right")
    left = len(others) - len(shown)
    note = f"The first {len(shown)} of {len(others)} metrics; `catwalk show` lists all." if left else ""
    title = f"{_words(shown[0]) if len(others) == 1 else 'Other metrics'} by {training.axis}"
    return style.Drawing(figure, title, _alt(training, shown, None), note)


def _words(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _logged(epochs: Sequence[EpochRecord]) -> list[str]:
    """Returns the metrics that any epoch has, loss and accuracy first."""
    found = {name: None for record in epochs for values in record.scores.values() for name in values}
    return sorted(found, key=lambda name: name not in ("loss", "accuracy"))


def _of(epochs: Sequence[EpochRecord], name: str) -> dict[str, list[float | None]]:
    """Returns a metric in each epoch by split, for the splits that have it."""
    splits = {split: None for record in epochs for split, values in record.scores.items() if name in values}
    return {split: [record.scores.get(split, {}).get(name) for record in epochs] for split in splits}


def _charts(training: TrainingRecord, shown: Sequence[str], colour: str) -> tuple[Figure, dict[str, Axes]]:
    """Draws one chart per metric, one above the other."""
    figure = style.new_figure(2.2 * len(shown) + 0.1)
    charts = {}
    for number, name in enumerate(reversed(shown)):
        axes = charts[name] = style.add_axes(figure, 0.52, 0.42 + 2.2 * number, 3.6, 1.6)
        _draw_splits(axes, training.epochs, name, colour)
        style.label(axes, "" if number else training.axis)
    return figure, {name: charts[name] for name in shown}


def _draw_splits(axes: Axes, epochs: Sequence[EpochRecord], name: str, colour: str) -> None:
    """Draws the train split in grey and dashed, the others in the run's colour."""
    numbers = [record.epoch for record in epochs]
    for split, values in _of(epochs, name).items():
        line: dict[str, Any] = {"color": style.QUIET if split == "train" else colour, "linewidth": 1.3}
        line |= _STYLES.get(split, _ANOTHER)
        if len(epochs) > _MARKED_EPOCHS:
            del line["marker"]
        axes.plot(numbers, [finite(value) for value in values], label=split, **line)
    style.epoch_axis(axes, numbers)
    _say_if_empty(axes)


def _mark_best(axes: Axes, label: str, epoch: int, value: float | None, colour: str) -> None:
    axes.axvline(epoch, color=style.QUIET, linewidth=0.8, dashes=(1, 2), zorder=1)
    axes.plot(
        [epoch],
        [finite(value)],
        linestyle="none",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=colour,
        markeredgewidth=1.4,
        label=label,
    )


def _alt(training: TrainingRecord, shown: Sequence[str], best: EpochRecord | None) -> str:
    epochs = training.epochs
    alt = f"{len(shown)} line chart{'s' * (len(shown) > 1)} over {len(epochs)} {training.axis}s."
    for name in shown:
        form = ".1%" if name == "accuracy" else ".4g"
        for split, values in _of(epochs, name).items():
            alt += f" {split.capitalize()} {name.replace('_', ' ')} changes from {value_text(values[0], form)} to "
            alt += f"{value_text(values[-1], form)}."
    if best:
        alt += f" The best {training.axis} is {best.epoch} with a validation loss of {best.validation_loss:.3f}."
    return alt


def _note(facts: Facts, training: TrainingRecord) -> str:
    epochs, best, axis = training.epochs, training.best, training.axis
    last = epochs[-1]
    if not best:
        measured = any(record.validation_loss is not None for record in epochs)
        return f"No {axis} has a finite validation loss." if measured else ""
    lowest = f"Lowest validation loss in {axis} {best.epoch} of {last.epoch}: {best.validation_loss:.4f}."
    loss, accuracy = value_text(last.validation_loss, ".4f"), value_text(last.validation_accuracy, ".2%")
    if facts.logs:
        return f"{lowest} The last {axis} has {loss}."
    return f"{lowest} The run's model is from its last epoch: {loss}, accuracy {accuracy}."


def rate_and_gradient(facts: Facts) -> style.Drawing:
    """Draws learning rate and gradient norm, if logged."""
    training = facts.training.get()
    epochs = _some(facts, training.epochs)
    charts = [
        (name, values)
        for name, values in (
            ("learning rate, at the epoch's last step", [record.learning_rate for record in epochs]),
            ("gradient norm (L2), mean over the epoch's steps", [record.gradient_norm for record in epochs]),
        )
        if any(value is not None for value in values)
    ]
    if not charts:
        raise MissingError("")
    figure = style.new_figure(2.2 * len(charts) + 0.1)
    for number, (name, values) in enumerate(reversed(charts)):
        _quantity(style.add_axes(figure, 0.52, 0.42 + 2.2 * number, 3.6, 1.6), facts, epochs, name, values)
        style.label(figure.axes[-1], "" if number else training.axis, name)
    alt = f"Line charts over {len(epochs)} {training.axis}s. " + ". ".join(
        f"{_words(name.partition(',')[0])} from {value_text(values[0], '.3g')} to {value_text(values[-1], '.3g')}"
        for name, values in charts
    )
    configured = facts.record.parameters.get("peak_learning_rate")
    note = f"Configured peak learning rate: {configured:g}." if isinstance(configured, int | float) else ""
    title = " and ".join(re.split(r"[,(]", name)[0].strip() for name, _ in charts)
    return style.Drawing(figure, _words(title), f"{alt}.", note)


def _quantity(
    axes: Axes, facts: Facts, epochs: Sequence[EpochRecord], name: str, found: Sequence[float | None]
) -> None:
    look, values = style.run_style(facts.run_id), [finite(value) for value in found]
    numbers = [record.epoch for record in epochs]
    marker = look.marker if len(epochs) <= _MARKED_EPOCHS else None
    axes.plot(numbers, values, color=look.colour, linewidth=1.6, marker=marker, markersize=3.2)
    style.epoch_axis(axes, numbers)
    _say_if_empty(axes)
    if name.startswith("gradient") and _is_steep(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _some(facts: Facts, epochs: Sequence[EpochRecord]) -> Sequence[EpochRecord]:
    if not epochs:
        raise MissingError("" if facts.logs else "Training ended before the end of its first epoch.")
    return epochs


def finite(value: float | None) -> float:
    """Returns a value to draw: NaN, which leaves a gap, replaces infinity and missing values."""
    return value if is_finite(value) else math.nan


def value_text(value: float | None, form: str) -> str:
    """Returns a value in words."""
    return "unknown" if value is None else format(value, form)


def _say_if_empty(axes: Axes) -> None:
    """Labels an empty chart, which would otherwise look like a fault of the chart."""
    if not any(math.isfinite(value) for line in axes.get_lines() for value in np.ravel(line.get_ydata())):
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no finite value", transform=axes.transAxes, color=style.QUIET, fontsize=style.SMALL, ha="center"
        )


def _is_steep(values: Sequence[float]) -> bool:
    """Returns whether only a logarithmic axis shows both ends."""
    known = [value for value in values if math.isfinite(value)]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 200


def _rises(of_splits: Mapping[str, Sequence[float | None]]) -> bool:
    """Returns whether a metric ends higher than it began, so that a legend at the bottom covers nothing."""
    ends = [(known[0], known[-1]) for values in of_splits.values() if (known := [v for v in values if is_finite(v)])]
    return sum(last - first for first, last in ends) > 0
