"""How training went, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from catwalk.ledger.records import EpochRecord, is_finite
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import style

_MARKED_EPOCHS = 30
"""Up to so many, each epoch has a marker."""


def loss_and_accuracy(facts: Facts) -> style.Drawing:
    """Train and validation, the epoch with the lowest validation loss marked."""
    training = facts.training.get()
    epochs = _some(training.epochs)
    if all(value is None for record in epochs for value in (record.validation_loss, record.validation_accuracy)):
        raise MissingError("No loss and no accuracy were logged for the validation split.")
    colour = style.run_style(facts.run_id).colour
    figure = style.new_figure(4.5)
    upper = style.add_axes(figure, 0.52, 2.62, 3.6, 1.6)
    lower = style.add_axes(figure, 0.52, 0.42, 3.6, 1.6)
    _draw_splits(upper, epochs, "loss", colour)
    _draw_splits(lower, epochs, "accuracy", colour)
    if _is_steep([finite(value) for record in epochs for value in (record.train_loss, record.validation_loss)]):
        upper.set_yscale("log")
    style.percent_axis(lower.yaxis)
    style.label(upper, y="loss, mean cross-entropy in nats")
    style.label(lower, "epoch", "accuracy")
    best = training.best
    if best:
        _mark_best(upper, best.epoch, best.validation_loss, colour)
        _mark_best(lower, best.epoch, best.validation_accuracy, colour)
    style.legend(upper, "upper right")
    style.legend(lower, "lower right")
    return style.Drawing(figure, "Loss and accuracy by epoch", _alt(epochs, best), _note(epochs, best))


def _draw_splits(axes: Axes, epochs: Sequence[EpochRecord], name: str, colour: str) -> None:
    """Train, quiet and dashed; validation in the run's colour."""
    numbers = [record.epoch for record in epochs]
    for split, options in (
        ("train", {"color": style.QUIET, "dashes": (3, 1.5), "marker": "s", "markersize": 2.8}),
        ("validation", {"color": colour, "marker": "o", "markersize": 3.2, "linewidth": 1.8}),
    ):
        values = [getattr(record, f"{split}_{name}") for record in epochs]
        line: dict[str, Any] = {"linewidth": 1.3, **options}
        if len(epochs) > _MARKED_EPOCHS:
            del line["marker"]
        axes.plot(numbers, [finite(value) for value in values], label=split, **line)
    style.epoch_axis(axes, numbers)
    _say_if_empty(axes)


def _mark_best(axes: Axes, epoch: int, value: float | None, colour: str) -> None:
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
        label=f"best epoch, {epoch}",
    )


def _alt(epochs: Sequence[EpochRecord], best: EpochRecord | None) -> str:
    first, last = epochs[0], epochs[-1]
    alt = (
        f"Two line charts over {len(epochs)} epochs. Validation loss goes from {told(first.validation_loss, '.3f')} "
        f"to {told(last.validation_loss, '.3f')}, train loss to {told(last.train_loss, '.3f')}; validation accuracy "
        f"from {told(first.validation_accuracy, '.1%')} to {told(last.validation_accuracy, '.1%')}, train accuracy "
        f"to {told(last.train_accuracy, '.1%')}."
    )
    if best:
        alt += f" The best epoch is {best.epoch} with a validation loss of {best.validation_loss:.3f}."
    return alt


def _note(epochs: Sequence[EpochRecord], best: EpochRecord | None) -> str:
    if not best:
        return "No epoch has a finite validation loss."
    last = epochs[-1]
    return (
        f"Lowest validation loss in epoch {best.epoch} of {len(epochs)}: {best.validation_loss:.4f}. The run's "
        f"model is its last epoch: {told(last.validation_loss, '.4f')}, accuracy "
        f"{told(last.validation_accuracy, '.2%')}."
    )


def rate_and_gradient(facts: Facts) -> style.Drawing:
    """Learning rate and gradient norm."""
    epochs = _some(facts.training.get().epochs)
    if all(value is None for record in epochs for value in (record.learning_rate, record.gradient_norm)):
        raise MissingError("No learning rate and no gradient norm were logged.")
    look = style.run_style(facts.run_id)
    figure = style.new_figure(4.5)
    numbers = [record.epoch for record in epochs]
    rates = [finite(record.learning_rate) for record in epochs]
    norms = [finite(record.gradient_norm) for record in epochs]
    marker = look.marker if len(epochs) <= _MARKED_EPOCHS else None
    for bottom, values, name in (
        (2.62, rates, "learning rate, at the epoch's last step"),
        (0.42, norms, "gradient norm (L2), mean over the epoch's steps"),
    ):
        axes = style.add_axes(figure, 0.52, bottom, 3.6, 1.6)
        axes.plot(numbers, values, color=look.colour, linewidth=1.6, marker=marker, markersize=3.2)
        style.epoch_axis(axes, numbers)
        _say_if_empty(axes)
        style.label(axes, "epoch" if bottom < 1 else "", name)
        if bottom < 1 and _is_steep(values):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
    peak = max((rate for rate in rates if math.isfinite(rate)), default=math.nan)
    alt = (
        f"Two line charts over {len(epochs)} epochs: the learning rate, at most {peak:.3g} at an epoch's end and "
        f"{rates[-1]:.3g} at the last; and the gradient norm, from {norms[0]:.3g} to {norms[-1]:.3g}."
    )
    configured = facts.record.parameters.get("peak_learning_rate")
    note = f"Configured peak of the rate: {configured:g}." if isinstance(configured, int | float) else ""
    return style.Drawing(figure, "Learning rate and gradient norm", alt, note)


def _some(epochs: Sequence[EpochRecord]) -> Sequence[EpochRecord]:
    if not epochs:
        raise MissingError("Training ended before its first epoch was over.")
    return epochs


def finite(value: float | None) -> float:
    """A value to draw; NaN, which leaves a gap, in place of infinity and of what was not measured."""
    return value if is_finite(value) else math.nan


def told(value: float | None, form: str) -> str:
    """A value in words."""
    return "unknown" if value is None else format(value, form)


def _say_if_empty(axes: Axes) -> None:
    """An empty chart looks like a mistake of the chart's."""
    if not any(math.isfinite(value) for line in axes.get_lines() for value in np.ravel(line.get_ydata())):
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no finite value", transform=axes.transAxes, color=style.QUIET, fontsize=style.SMALL, ha="center"
        )


def _is_steep(values: Sequence[float]) -> bool:
    """Whether only a logarithmic axis shows both ends."""
    known = [value for value in values if math.isfinite(value)]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 200
