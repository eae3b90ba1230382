"""How several runs differ from the baseline in each class: points with intervals, or a map of many runs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.facts import MissingError
from catwalk.report.figures import names, style

_DOTS = 4
"""The most runs beside the baseline whose class differences are drawn with intervals; more are drawn as a heat map."""
_MAPPED = 10
"""How many classes fit in a row of the heat map, with their numbers."""


def class_differences(comparison: Comparison) -> style.Drawing:
    """Draws how much each run differs from the baseline, by class."""
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if not pairs:
        raise MissingError(comparison.pairs[0].why if comparison.kinds == ["multiclass"] else "")
    dots = len(pairs) <= _DOTS
    most = names.FEW if dots else _MAPPED
    shown, classes = comparison.classes(most), comparison.baseline.classes
    labels = [classes.index(name) for name in shown]
    figure = _difference_dots(pairs, classes, labels) if dots else _difference_map(pairs, classes, labels)
    by_run = "; ".join(f"{pair.run_id}: {_significant(pair)}" for pair in pairs)
    note = style.sentences(
        comparison.choice(most),
        f"Compared with the baseline {comparison.baseline.run_id}.",
        ("Filled markers: " if dots else "*: ")
        + "more than noise (McNemar's exact test, Holm-corrected over a run's classes, p < 0.05).",
        *(f"{pair.run_id}: {pair.note}" for pair in pairs if pair.note),
        names.undrawn_note(classes, labels),
    )
    alt = f"Differences of {len(pairs)} runs from the baseline by class. More than noise: {by_run}."
    return style.Drawing(figure, "Difference in accuracy by class, from the baseline", alt, note)


def _significant(pair: Pair) -> str:
    found = [
        f"{name} {100 * difference.value:+.1f} points"
        for name, difference in pair.classes.items()
        if difference.significant
    ]
    return ", ".join(found) or "none"


def _difference_dots(pairs: Sequence[Pair], classes: Sequence[str], labels: Sequence[int]) -> Figure:
    figure, axes = style.class_figure(classes, labels, above=0.28 + 0.13 * len(pairs))
    axes.axvline(0, color=style.QUIET, linewidth=1)
    spread = 0.6 / len(pairs)
    for number, pair in enumerate(pairs):
        look = style.run_style(pair.run_id)
        offset = (number - (len(pairs) - 1) / 2) * spread
        rows = [(row, pair.classes.get(classes[label])) for row, label in enumerate(labels)]
        found = [(row + offset, difference) for row, difference in rows if difference]
        for place, difference in found:
            _dot(axes, place, difference, look, pair.run_id if place == found[0][0] else None)
    style.legend_above(axes)
    style.label(axes, "percentage points, 95 % interval")
    return figure


def _dot(axes: Axes, place: float, difference: Difference, look: style.RunStyle, label: str | None) -> None:
    """Draws a difference with its interval, filled if it is more than noise; the legend shows those with a label."""
    axes.errorbar(
        [100 * difference.value],
        [place],
        xerr=[
            [max(0.0, 100 * (difference.value - difference.low))],
            [max(0.0, 100 * (difference.high - difference.value))],
        ],
        marker=look.marker,
        color=look.colour,
        markerfacecolor=look.colour if difference.significant else style.PAPER,
        markersize=4.5,
        elinewidth=1.2,
        capsize=2,
        label=label,
    )


def _difference_map(pairs: Sequence[Pair], classes: Sequence[str], labels: Sequence[int]) -> Figure:
    step, size = 0.21, 7.0
    written = names.drawn(classes)
    columns, widest = names.fitted((written[label] for label in labels), 0.8, size)
    slanted = 0.71 * widest
    figure = style.new_figure(max(0.95, slanted + 0.3) + step * len(pairs))
    axes = style.add_axes(figure, 0.98, 0.1, min(2.9, style.WIDTH - 1.03 - slanted), step * len(pairs))
    reach = max((abs(d.value) for pair in pairs for d in pair.classes.values()), default=0.0) or 1.0
    for row, pair in enumerate(pairs):
        for column, label in enumerate(labels):
            difference = pair.classes.get(classes[label])
            if difference:
                _difference_cell(axes, row, column, difference, abs(difference.value) / reach)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(labels)), columns, rotation=45, ha="left", rotation_mode="anchor", **names.text_style())
    axes.set_yticks(range(len(pairs)), [_short(pair.run_id) for pair in pairs])
    axes.tick_params(labelcolor=style.INK, labelsize=size)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _difference_cell(axes: Axes, row: int, column: int, difference: Difference, depth: float) -> None:
    colour = style.GOOD if difference.value > 0 else style.BAD
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=0.04 + 0.8 * depth, edgecolor="none"))
    star = "*" if difference.significant else ""
    axes.text(
        column,
        row,
        f"{100 * difference.value:+.{0 if abs(difference.value) >= 0.1 else 1}f}{star}",
        color=style.ON_COLOUR if depth > 0.6 else style.INK,
        fontsize=6,
        fontweight="bold" if star else "normal",
        ha="center",
        va="center",
    )


def _short(run_id: str) -> str:
    """Month, day and the hash: enough to find a run of this comparison."""
    return f"{run_id[4:6]}-{run_id[6:8]} {run_id[-8:]}"
