"""Figures of how reliable the model's probabilities are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from catwalk.problems.intervals import wilson
from catwalk.problems.scores import CALIBRATION_BINS
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import style
from catwalk.report.statistics import Bin, reliability


def reliability_diagram(facts: Facts) -> style.Drawing:
    """Draws accuracy by confidence, with the expected calibration error; below, how often each confidence occurs."""
    predictions = facts.predictions.get()
    return _diagram(
        facts.run_id,
        predictions.confidence,
        predictions.right,
        ("accuracy", "confidence: probability of the predicted class"),
        ("confidence", "overconfident", "underconfident"),
    )


def reliability_of_positives(facts: Facts) -> style.Drawing:
    """Draws the same for a binary model: the share of positives by predicted probability."""
    answers = facts.answers.get()
    if facts.problem.metrics[0].name != "log_loss":
        raise MissingError("")  # its scores are not probabilities
    return _diagram(
        facts.run_id,
        answers.predictions,
        answers.labels == 1,
        ("positives", "probability of the positive class"),
        ("probability", "too high", "too low"),
    )


def _diagram(
    run_id: str,
    probability: NDArray[np.float64],
    true: NDArray[np.bool_],
    axes_names: tuple[str, str],
    words: tuple[str, str, str],
) -> style.Drawing:
    """
    Args:
        run_id: The run that gave the answers.
        probability: The model's probabilities, shape (n,).
        true: Whether the prediction was true, shape (n,).
        axes_names: The names of the axes: the share that was true, and the probability.
        words: The name of the probability, and the terms for one that is too high or too low overall.
    """
    bins, error = reliability(probability, true)
    colour = style.run_style(run_id).colour
    figure = style.new_figure(4.5)
    upper = style.add_axes(figure, 0.52, 1.72, 3.6, 2.5)
    lower = style.add_axes(figure, 0.52, 0.42, 3.6, 0.85)
    _draw_gaps(upper, bins, colour)
    shares = [found.examples / len(true) for found in bins]
    lower.bar([found.low for found in bins], shares, width=1 / CALIBRATION_BINS, align="edge", color=colour, alpha=0.75)
    for axes in (upper, lower):
        axes.set_xlim(0, 1.01)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
    upper.set_ylim(0, 1.02)
    style.label(upper, y=axes_names[0])
    style.label(lower, axes_names[1], "share of the test examples")
    style.legend(upper, "upper left")
    above = sum(found.hits - found.confidence * found.examples for found in bins)
    name, high, low = words
    note = (
        f"Expected calibration error {error:.2%} over {CALIBRATION_BINS} bins. Mean {name} "
        f"{probability.mean():.2%}, {axes_names[0]} {true.mean():.2%}: {high if above < 0 else low} overall."
    )
    return style.Drawing(figure, f"Reliability, calibration error {error:.2%}", _alt(bins, error, axes_names[0]), note)


def _draw_gaps(axes: Axes, bins: Sequence[Bin], colour: str) -> None:
    """Draws each bin's accuracy with its interval, and its distance from the diagonal."""
    axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=1, dashes=(4, 3), label="perfectly calibrated")
    accuracy = [found.hits / found.examples for found in bins]
    confidence = [found.confidence for found in bins]
    bounds = [wilson(found.hits, found.examples) for found in bins]
    axes.vlines(confidence, confidence, accuracy, color=style.BAD, linewidth=3, alpha=0.45, label="gap")
    axes.errorbar(
        confidence,
        accuracy,
        yerr=[
            [max(0.0, ratio - low) for ratio, (low, _) in zip(accuracy, bounds, strict=True)],
            [max(0.0, high - ratio) for ratio, (_, high) in zip(accuracy, bounds, strict=True)],
        ],
        color=colour,
        linestyle="none",
        marker="o",
        markersize=4,
        elinewidth=1.1,
        capsize=2,
        label="this run, 95 % interval",
    )


def _alt(bins: Sequence[Bin], error: float, what: str) -> str:
    by_bin = ", ".join(
        f"{found.confidence:.0%} → {found.hits / found.examples:.0%} ({found.examples:,})" for found in bins
    )
    return (
        f"Points of {what} by probability, beside the diagonal; expected calibration error {error:.2%}. Mean "
        f"probability → {what} (examples) by bin: {by_bin}."
    )
