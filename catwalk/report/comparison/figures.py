"""Figures that show several runs at once; each run looks as it does everywhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from catwalk.ledger.records import is_finite
from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.facts import MissingError, Predictions
from catwalk.report.figures import names, style
from catwalk.report.figures.curves import finite
from catwalk.report.figures.examples import SHOWN, picture_grid
from catwalk.report.statistics import wilson

_NAMED = 60
"""Up to so many runs a legend names each."""
_DOTS = 4
"""Up to so many runs beside the baseline their class differences are drawn with intervals, else as a heat map."""
_MAPPED = 10
"""Classes that a row of the heat map has room for, with their numbers."""
_MARKED_RUNS = 8
_MARKED_EPOCHS = 30


def loss(comparison: Comparison) -> style.Drawing:
    """Validation and train loss of all runs."""
    return _curves(comparison, "loss", "mean cross-entropy in nats", ".4f")


def accuracy(comparison: Comparison) -> style.Drawing:
    """Validation and train accuracy of all runs."""
    return _curves(comparison, "accuracy", "", ".2%")


def _curves(comparison: Comparison, field: str, unit: str, form: str) -> style.Drawing:
    trained = [(entry, entry.training.value.epochs) for entry in comparison.entries if entry.training.value]
    trained = [(entry, epochs) for entry, epochs in trained if epochs]
    if not trained:
        raise MissingError("None of these runs has finished an epoch.")
    named = len(trained) <= _NAMED
    rows = math.ceil(len(trained) / 2) if named else 0
    below = 0.132 * rows + (0.16 if rows else 0)
    figure = style.new_figure(4.4 + below)
    last = max(epochs[-1].epoch for _, epochs in trained)
    handles: list[Line2D] = []
    cut = False
    for bottom, split in ((2.6 + below, "validation"), (0.42 + below, "train")):
        axes = style.add_axes(figure, 0.52, bottom, 3.6, 1.55)
        handles = []
        values = []
        for entry, epochs in trained:
            look = style.run_style(entry.run_id)
            own = [finite(getattr(record, f"{split}_{field}")) for record in epochs]
            values += [value for value in own if math.isfinite(value)]
            few = len(trained) <= _MARKED_RUNS and last <= _MARKED_EPOCHS
            (line,) = axes.plot(
                [record.epoch for record in epochs],
                own,
                color=look.colour,
                linewidth=2.4 if entry is comparison.baseline else 1.2,
                alpha=1.0 if len(trained) <= _MARKED_RUNS or entry is comparison.baseline else 0.8,
                marker=look.marker if few or len(epochs) == 1 else None,
                markersize=3.2,
                label=entry.run_id + (", baseline" if entry is comparison.baseline else ""),
            )
            if look.dashes:
                line.set_dashes(look.dashes)
            handles.append(line)
        style.epoch_axis(axes, [1, last])
        if field == "accuracy":
            style.percent_axis(axes.yaxis)
        cut = _zoom(axes, values) or cut
        style.label(axes, "epoch" if split == "train" else "", f"{split} {field}" + (f", {unit}" if unit else ""))
    if named:
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
    told = "; ".join(
        f"{entry.run_id} {format(getattr(epochs[-1], f'validation_{field}'), form)} after {len(epochs)} epochs"
        for entry, epochs in trained
    )
    note = "" if named else "The table of runs shows which line is whose."
    if cut:
        note = f"{note} Values far from all others lie outside the chart.".strip()
    absent = len(comparison.entries) - len(trained)
    if absent:
        note = f"{note} {absent} of {len(comparison.entries)} runs have no epoch to show.".strip()
    title = f"{field.capitalize()} by epoch"
    return style.Drawing(figure, title, f"Curves of {len(trained)} runs, validation {field} at the end: {told}.", note)


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
    tested = [(entry, evaluation) for entry, evaluation in scored if is_finite(evaluation.accuracy)]
    if not tested:
        raise MissingError("None of these runs has been tested.")
    tested.sort(key=lambda pair: -pair[1].accuracy)
    step = 0.2
    figure = style.new_figure(0.62 + step * len(tested))
    axes = style.add_axes(figure, 1.78, 0.42, 2.36, step * len(tested))
    for row, (entry, evaluation) in enumerate(tested):
        look = style.run_style(entry.run_id)
        low, high = wilson(round(evaluation.accuracy * evaluation.examples), evaluation.examples)
        is_baseline = entry is comparison.baseline
        axes.errorbar(
            [evaluation.accuracy],
            [row],
            xerr=[[max(0.0, evaluation.accuracy - low)], [max(0.0, high - evaluation.accuracy)]],
            marker=look.marker,
            color=look.colour,
            markersize=4.5,
            elinewidth=1.2,
            capsize=2,
        )
        if is_baseline:
            axes.axvline(evaluation.accuracy, color=look.colour, linewidth=0.9, dashes=(4, 3), zorder=1)
    axes.set_yticks(range(len(tested)), [entry.run_id for entry, _ in tested])
    for text, (entry, _) in zip(axes.get_yticklabels(), tested, strict=True):
        text.set_fontsize(7)
        text.set_color(style.INK)
        text.set_fontweight("bold" if entry is comparison.baseline else "normal")
    axes.set_ylim(len(tested) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    style.percent_axis(axes.xaxis)
    axes.locator_params(axis="x", nbins=5)
    style.label(axes, "test accuracy, 95 % interval")
    told = "; ".join(f"{entry.run_id} {evaluation.accuracy:.2%}" for entry, evaluation in tested)
    note = f"Bold, and the dashed line: the baseline {comparison.baseline.run_id}."
    return style.Drawing(figure, "Test accuracy", f"Test accuracy of {len(tested)} runs, the best first: {told}.", note)


def class_differences(comparison: Comparison) -> style.Drawing:
    """Per class, what each run has more or less than the baseline."""
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if not pairs:
        raise MissingError(comparison.pairs[0].why)
    dots = len(pairs) <= _DOTS
    most = names.FEW if dots else _MAPPED
    shown, classes = comparison.classes(most), comparison.baseline.predictions.get().classes
    labels = [classes.index(name) for name in shown]
    figure = _difference_dots(pairs, classes, labels) if dots else _difference_map(pairs, classes, labels)
    told = "; ".join(f"{pair.run_id}: {_significant(pair)}" for pair in pairs)
    note = style.sentences(
        comparison.choice(most),
        f"Against the baseline {comparison.baseline.run_id}.",
        ("Filled: " if dots else "*: ")
        + "more than noise (McNemar's exact test, Holm-corrected over a run's classes, p < 0.05).",
        *(f"{pair.run_id}: {pair.note}" for pair in pairs if pair.note),
        names.undrawn_note(classes, labels),
    )
    alt = f"Differences of {len(pairs)} runs from the baseline by class. More than noise: {told}."
    return style.Drawing(figure, "Accuracy by class, less the baseline's", alt, note)


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
        named = False
        for row, difference in rows:
            if difference is None:
                continue
            axes.errorbar(
                [100 * difference.value],
                [row + offset],
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
                label=None if named else pair.run_id,
            )
            named = True
    style.legend_above(axes)
    style.label(axes, "percentage points, 95 % interval")
    return figure


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


def disagreements(comparison: Comparison) -> style.Drawing:
    """Test images about which the runs disagree most, of the classes that all of them have."""
    entries, images = comparison.comparable, comparison.baseline.images.get()
    if len(entries) < 2:
        raise MissingError(comparison.pairs[0].why)
    found = [entry.predictions.get() for entry in entries]
    common = [name for name in found[0].classes if all(name in other.classes for other in found)]
    images = images[found[0].indices(common)]
    if not len(images):
        raise MissingError("These runs have no tested class in common.")
    answers = [one.among(common) for one in found]
    return _of_two(answers, images) if len(answers) == 2 else _of_many(answers, images)


def _of_two(answers: Sequence[Predictions], images: NDArray[np.uint8]) -> style.Drawing:
    """Those that exactly one has right, the surest wrong answers first; half of the room for each."""
    baseline, other = answers
    chosen: list[int] = []
    for right, wrong in ((baseline, other), (other, baseline)):
        only = np.flatnonzero(right.right & ~wrong.right)
        chosen += only[np.argsort(-wrong.confidence[only], kind="stable")][: SHOWN // 2].tolist()
    if not chosen:
        raise MissingError("There are none: both runs have the same images right.")
    classes = _classes(answers)
    written = names.drawn(classes)
    captions, told, labels = [], [], set()
    for index in chosen:
        true = classes.index(baseline.truth[index])
        said = [classes.index(found.classes[found.predicted[index]]) for found in answers]
        labels |= {true, *said}
        captions.append((written[true], [written[label] for label in said], bool(baseline.right[index])))
        told.append(f"{classes[true]}: {' and '.join(classes[label] for label in said)}")
    figure = picture_grid([images[index] for index in chosen], captions)
    only_baseline = int((baseline.right & ~other.right).sum())
    only_other = int((other.right & ~baseline.right).sum())
    note = (
        f"Above each image its class, below what the baseline and then the other run say. Blue: only the baseline is "
        f"right ({only_baseline:,} images); orange: only the other ({only_other:,})."
    )
    note = style.sentences(note, names.undrawn_note(classes, labels))
    return style.Drawing(
        figure, "Images that only one run has right", f"{len(chosen)} images. {'; '.join(told)}.", note
    )


def _classes(answers: Sequence[Predictions]) -> list[str]:
    """Classes of all runs, those of the baseline first."""
    return list(dict.fromkeys(name for found in answers for name in found.classes))


def _of_many(answers: Sequence[Predictions], images: NDArray[np.uint8]) -> style.Drawing:
    """Those whose votes are most evenly split, by entropy."""
    classes = _classes(answers)
    place = {name: label for label, name in enumerate(classes)}
    votes = np.stack([np.array([place[name] for name in found.classes])[found.predicted] for found in answers])
    truth = answers[0].truth
    counts = np.stack([(votes == label).sum(axis=0) for label in range(len(classes))], axis=1) / len(answers)
    entropy = -(counts * np.log(np.where(counts > 0, counts, 1))).sum(axis=1)
    chosen = [int(index) for index in np.argsort(-entropy, kind="stable")[:SHOWN] if entropy[index] > 0]
    if not chosen:
        raise MissingError("There are none: all runs give the same answers.")
    written = names.drawn(classes)
    captions, told, labels = [], [], set()
    for index in chosen:
        ranking = Counter(votes[:, index].tolist()).most_common()
        true = place[str(truth[index])]
        labels |= {true, *(label for label, _ in ranking[:2])}
        lines = [f"{count}× {written[label]}" for label, count in ranking[:2]]
        captions.append((written[true], lines, ranking[0][0] == true))
        told.append(f"{classes[true]}: {', '.join(f'{count} say {classes[label]}' for label, count in ranking)}")
    figure = picture_grid([images[index] for index in chosen], captions)
    split = int((entropy > 0).sum())
    note = (
        f"Above each image its class, below the two answers given most often by the {len(answers)} runs. Blue: most "
        f"are right. The runs disagree about {split:,} of {len(truth):,} images."
    )
    note = style.sentences(note, names.undrawn_note(classes, labels))
    return style.Drawing(
        figure, "Images the runs disagree about most", f"{len(chosen)} images. {'; '.join(told)}.", note
    )
