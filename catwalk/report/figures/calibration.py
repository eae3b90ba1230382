"""Whether the model's probabilities can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from catwalk.problems.scores import CALIBRATION_BINS
from catwalk.report.facts import Facts
from catwalk.report.figures import style
from catwalk.report.statistics import Bin, reliability, wilson


def reliability_diagram(facts: Facts) -> style.Drawing:
    """Accuracy by confidence, with the expected calibration error; below, how often each confidence occurs."""
    predictions = facts.predictions.get()
    bins, error = reliability(predictions.confidence, predictions.right)
    colour = style.run_style(facts.run_id).colour
    figure = style.new_figure(4.5)
    upper = style.add_axes(figure, 0.52, 1.72, 3.6, 2.5)
    lower = style.add_axes(figure, 0.52, 0.42, 3.6, 0.85)
    _draw_gaps(upper, bins, colour)
    shares = [found.examples / len(predictions.labels) for found in bins]
    lower.bar([found.low for found in bins], shares, width=1 / CALIBRATION_BINS, align="edge", color=colour, alpha=0.75)
    for axes in (upper, lower):
        axes.set_xlim(0, 1.01)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
    upper.set_ylim(0, 1.02)
    style.label(upper, y="accuracy")
    style.label(lower, "confidence: probability of the predicted class", "share of the test examples")
    style.legend(upper, "upper left")
    above = sum(found.hits - found.confidence * found.examples for found in bins)
    lean = "too sure of itself" if above < 0 else "not sure enough"
    note = (
        f"Expected calibration error {error:.2%} over {CALIBRATION_BINS} bins. Mean confidence "
        f"{predictions.confidence.mean():.2%}, accuracy {predictions.right.mean():.2%}: on the whole {lean}."
    )
    return style.Drawing(figure, f"Reliability, calibration error {error:.2%}", _alt(bins, error), note)


def _draw_gaps(axes: Axes, bins: Sequence[Bin], colour: str) -> None:
    """Accuracy of each bin with its interval, and how far it is from the diagonal."""
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


def _alt(bins: Sequence[Bin], error: float) -> str:
    told = ", ".join(
        f"{found.confidence:.0%} → {found.hits / found.examples:.0%} ({found.examples:,})" for found in bins
    )
    return (
        f"Points of accuracy against confidence beside the diagonal; expected calibration error {error:.2%}. Mean "
        f"confidence → accuracy (examples) by bin: {told}."
    )
