"""Figures of how well each class is recognised, and with which it is confused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from catwalk.ledger.records.values import class_names
from catwalk.problems.answers import Answers
from catwalk.problems.intervals import wilson
from catwalk.problems.scores import confusion_matrix as counted
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import names, style

_NUMBERED = 12
"""The most classes at which the cells of the confusion matrix have room for numbers."""
_LISTED = 12
"""How many of the most frequent mistakes are listed if the cells have no numbers."""
_LISTED_ALONE = 20
"""The same, if there are too many classes for a readable matrix."""
_MOST_COUNTED = 2_000
"""The most classes for which a matrix is counted."""
_SIDE = 3.4
"""The side of the confusion matrix, in inches."""
_ABOVE = 0.17
"""The space above it for the name of its rows, in inches."""
_SHADES = 24


@dataclass(frozen=True)
class _Confusion:
    """The predictions for the test examples of each class."""

    classes: list[str]
    counts: list[list[int]]
    """Examples by true class (row) and predicted class (column)."""

    def score(self, label: int) -> tuple[int, int]:
        """Returns how many examples of a class are classified correctly, and how many it has."""
        return self.counts[label][label], sum(self.counts[label])

    def share(self, true: int, predicted: int) -> float:
        """Returns the share of a true class's examples that were predicted as a class."""
        return self.counts[true][predicted] / max(1, sum(self.counts[true]))

    def mistakes(self) -> list[tuple[int, int, int]]:
        """Returns the count, true class and predicted class of each kind of mistake, the most frequent first."""
        found = [
            (count, true, predicted)
            for true, row in enumerate(self.counts)
            for predicted, count in enumerate(row)
            if count and true != predicted
        ]
        return sorted(found, key=lambda mistake: -mistake[0])

    def worst(self) -> list[int]:
        """Returns all classes in label order if they are few, otherwise those with the lowest accuracy, the lowest
        first.
        """
        labels = list(range(len(self.classes)))
        if len(labels) <= names.FEW:
            return labels
        tested = [label for label in labels if self.score(label)[1]]
        return sorted(tested, key=lambda label: self.share(label, label))[: names.FEW]


def _confusion(facts: Facts) -> _Confusion:
    """Reads or counts the confusion matrix.

    Raises:
        MissingError: the model was not tested, or the record is damaged.
    """
    evaluation = facts.evaluation.get()
    counts = evaluation.confusion
    if not counts and facts.logs:
        return _counted(facts.answers.get(), facts.record.classes)
    if not counts or {len(row) for row in counts} != {len(counts)}:
        raise MissingError("The confusion matrix in evaluation.json is damaged.")
    return _Confusion(class_names(evaluation.classes, len(counts)), counts)


def _counted(answers: Answers, classes: list[str]) -> _Confusion:
    """Counts the confusion of a run that stored no results by class, because its classes have no names or are
    too many.
    """
    count = len(classes) or int(max(answers.labels.max(), answers.predictions.max())) + 1
    if count > _MOST_COUNTED:
        raise MissingError(f"There are {count:,} classes; figures are drawn for up to {_MOST_COUNTED:,}.")
    counts = counted(answers.labels, answers.predictions.astype(np.int64), count)
    return _Confusion(class_names(classes, count), counts.tolist())


def class_accuracy(facts: Facts) -> style.Drawing:
    """Draws the test accuracy of each class with Wilson 95 % intervals, the champion beside the challenger."""
    confusion = _confusion(facts)
    shown = confusion.worst()
    ours = {label: confusion.score(label) for label in shown}
    theirs = _champion_scores(facts, shown)
    figure, axes = style.class_figure(confusion.classes, shown)
    colour = style.run_style(facts.run_id).colour
    look: dict[str, Any] = {"marker": "o", "markerfacecolor": colour, "elinewidth": 1.5, "color": colour}
    _scores(axes, ours.values(), -0.16 if theirs else 0.0, label=f"challenger, {facts.run_id}", **look)
    if theirs:
        colour = style.run_style(facts.champion_id).colour
        look = {"marker": "D", "markerfacecolor": style.PAPER, "elinewidth": 0.9, "color": colour}
        _scores(axes, theirs.values(), 0.16, label=f"champion, {facts.champion_id}", **look)
    style.legend_above(axes)
    style.percent_axis(axes.xaxis)
    style.label(axes, "test accuracy (recall), 95 % interval")
    by_class = ", ".join(
        f"{confusion.classes[label]} {_share(ours[label])}" + (f" (champion {_share(theirs[label])})" if theirs else "")
        for label in shown
    )
    note = style.sentences(
        _choice(confusion, shown, "with the lowest accuracy"),
        "" if theirs else f"The champion is not shown. {(facts.common if facts.logs else facts.champion).why}",
        names.undrawn_note(confusion.classes, shown),
    )
    return style.Drawing(figure, "Test accuracy by class", f"Points with 95 % intervals by class: {by_class}.", note)


def _scores(axes: Axes, scores: Collection[tuple[int, int]], offset: float, **look: Any) -> None:
    """Draws one point per row with its interval, from hits and examples."""
    ratios = [hits / n if n else float("nan") for hits, n in scores]
    bounds = [wilson(hits, n) for hits, n in scores]
    axes.errorbar(
        ratios,
        [row + offset for row in range(len(scores))],
        xerr=[
            [max(0.0, ratio - low) for ratio, (low, _) in zip(ratios, bounds, strict=True)],
            [max(0.0, high - ratio) for ratio, (_, high) in zip(ratios, bounds, strict=True)],
        ],
        linestyle="none",
        markersize=4.2,
        capsize=2,
        **look,
    )


def _champion_scores(facts: Facts, shown: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Returns hits and examples by class; empty if there is no champion to show."""
    if facts.common.value:
        labels, right = facts.common.value.ours.labels, facts.common.value.theirs.loss == 0
    elif facts.champion.value:
        labels, right = facts.champion.value.labels, facts.champion.value.right
    else:
        return {}
    of_class = {label: right[labels == label] for label in shown}
    return {label: (int(found.sum()), len(found)) for label, found in of_class.items()}


def _choice(confusion: _Confusion, shown: Sequence[int], which: str) -> str:
    count = len(confusion.classes)
    return f"The {len(shown)} classes {which}, of {count}." if len(shown) < count else ""


def _share(score: tuple[int, int]) -> str:
    hits, examples = score
    return f"{hits / examples:.1%}" if examples else "no examples"


def confusion_matrix(facts: Facts) -> style.Drawing:
    """Draws test examples by true and predicted class. Few classes: counts, and percentages of the row. More classes:
    shades. Many classes: only the most frequent mistakes.
    """
    confusion = _confusion(facts)
    count, mistakes = len(confusion.classes), confusion.mistakes()
    draw = _with_numbers if count <= _NUMBERED else _with_shades if count <= names.FEW else _mistakes_alone
    drawing = draw(confusion, mistakes)
    by_class = "; ".join(
        "{}: {} of {} correct".format(confusion.classes[label], *confusion.score(label)) + _taken_for(confusion, label)
        for label in confusion.worst()
    )
    choice = _choice(confusion, confusion.worst(), "with the lowest accuracy")
    what = f"A table of {count} by {count} classes." if count <= names.FEW else f"Mistakes among {count} classes."
    alt = style.sentences(what, choice, f"{by_class}.")
    return style.Drawing(drawing.figure, drawing.title or "Confusion matrix, normalised by row", alt, drawing.note)


def _with_numbers(confusion: _Confusion, mistakes: Sequence[tuple[int, int, int]]) -> style.Drawing:
    n = len(confusion.classes)
    shown, widest = names.fitted(names.drawn(confusion.classes), 1.0, style.SMALL)
    left = max(0.82, widest + 0.12)
    slanted = n * (widest + 0.1) > style.WIDTH - 0.08 - left
    below = max(0.92, 0.71 * widest + 0.3) if slanted else 0.42
    height = min(3.45, 0.62 * n)
    figure = style.new_figure(below + height + _ABOVE)
    axes = style.add_axes(figure, left, below, style.WIDTH - 0.08 - left, height)
    for true, row in enumerate(confusion.counts):
        for predicted, count in enumerate(row):
            _cell(axes, true, predicted, count, confusion.share(true, predicted))
    _frame(axes, n, left)
    _name_axes(axes, shown, slanted)
    note = "Percentage of the row's examples, and their number. Blue: correct. Orange: wrong, in a stretched shade."
    for count, true, predicted in mistakes[:1]:
        was, said = confusion.classes[true], confusion.classes[predicted]
        note += f" Most frequent mistake: {was} predicted as {said}, {count} times."
    return style.Drawing(figure, "", "", style.sentences(note, names.undrawn_note(confusion.classes, range(n))))


def _depth(share: float, right: bool) -> float:
    """Returns the depth of a shade. Mistakes are rare: their shade is stretched so that a share of one in four is the
    darkest.
    """
    return share if right else min(1.0, 4 * share)


def _cell(axes: Axes, true: int, predicted: int, count: int, share: float) -> None:
    depth = _depth(share, true == predicted)
    if count:
        colour = style.GOOD if true == predicted else style.BAD
        corner = (predicted - 0.5, true - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=0.06 + 0.84 * depth, edgecolor="none"))
    percent = f"{100 * share:.0f}%" if share >= 0.01 else "<1%"
    axes.text(
        predicted,
        true,
        f"{percent}\n{count}" if count else "·",
        color=style.ON_COLOUR if depth > 0.55 else style.INK if count else style.QUIET,
        fontsize=6.6,
        ha="center",
        va="center",
        linespacing=1.15,
    )


def _frame(axes: Axes, n: int, left: float) -> None:
    """Sets the limits and the names of the axes; `left` is the space beside the matrix, in inches."""
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.tick_params(labelcolor=style.INK)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("predicted class", color=style.QUIET, fontsize=style.SMALL, labelpad=1)
    axes.annotate(
        "true class",
        (0, 1),
        (-72 * (left - 0.07), 3),
        xycoords="axes fraction",
        textcoords="offset points",
        color=style.QUIET,
        fontsize=style.SMALL,
        va="bottom",
    )


def _name_axes(axes: Axes, shown: Sequence[str], slanted: bool = True) -> None:
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(range(len(shown)), shown, **slant, **names.text_style())
    axes.set_yticks(range(len(shown)), shown, **names.text_style())


def _with_shades(confusion: _Confusion, mistakes: Sequence[tuple[int, int, int]]) -> style.Drawing:
    """Draws cells without numbers, and the most frequent mistakes below them."""
    n, listed = len(confusion.classes), mistakes[:_LISTED]
    shown, widest = names.fitted(names.drawn(confusion.classes), 1.0, 7)
    left, below = max(0.82, widest + 0.12), 0.71 * widest + 0.33
    rows = 0.19 * len(listed) + 0.45 if listed else 0.0
    side = min(_SIDE, style.WIDTH - 0.08 - left)
    figure = style.new_figure(rows + below + side + _ABOVE)
    axes = style.add_axes(figure, left, rows + below, side, side)
    _shade(axes, [(t, t, confusion.share(t, t)) for t in range(n) if confusion.counts[t][t]], side / n, True)
    _shade(axes, [(t, p, confusion.share(t, p)) for _, t, p in mistakes], side / n, False)
    _frame(axes, n, left)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(style.LINE)
    _name_axes(axes, shown)
    axes.tick_params(labelsize=7)
    if listed:
        _list(style.add_axes(figure, 2.5, 0.06, 1.05, rows - 0.4), confusion, listed)
    note = style.sentences(
        "Shade: share of the row's examples. Blue: correct. Orange: wrong, in a stretched shade.",
        f"Below: the {_most_frequent(listed, mistakes)}." if listed else _SPOTLESS,
        names.undrawn_note(confusion.classes, range(n)),
    )
    return style.Drawing(figure, "", "", note)


def _mistakes_alone(confusion: _Confusion, mistakes: Sequence[tuple[int, int, int]]) -> style.Drawing:
    """Draws only the most frequent mistakes, because a matrix of that many classes would be unreadable."""
    listed = mistakes[:_LISTED_ALONE]
    if not listed:
        raise MissingError(_SPOTLESS)
    height = 0.19 * len(listed)
    figure = style.new_figure(height + 0.32)
    _list(style.add_axes(figure, 2.5, 0.06, 1.05, height), confusion, listed)
    labels = {label for _, *pair in listed for label in pair}
    most = _most_frequent(listed, mistakes)
    note = style.sentences(
        f"{most[:1].upper()}{most[1:]}, among {len(confusion.classes)} classes.",
        names.undrawn_note(confusion.classes, labels),
    )
    return style.Drawing(figure, "Most frequent confusions", "", note)


_SPOTLESS = "Every test example was classified correctly."


def _most_frequent(listed: Sequence[object], mistakes: Sequence[object]) -> str:
    return f"{len(listed)} most frequent of {len(mistakes):,} kinds of mistakes, with count and share of the true class"


def _shade(axes: Axes, cells: Sequence[tuple[int, int, float]], side: float, right: bool) -> None:
    """Draws cells (true, predicted, share), `side` inches wide, as strokes: one path per shade keeps the page small."""
    by_shade: dict[int, list[tuple[float, float]]] = {}
    for true, predicted, share in cells:
        ends = [(predicted - 0.5, float(true)), (predicted + 0.5, float(true))]
        by_shade.setdefault(round(_SHADES * _depth(share, right)), []).extend(ends)
    for shade, ends in by_shade.items():
        path = Path(np.array(ends), [Path.MOVETO, Path.LINETO] * (len(ends) // 2))
        colour = style.GOOD if right else style.BAD
        alpha = 0.06 + 0.84 * shade / _SHADES
        stroke: dict[str, Any] = {"linewidth": max(0.8, 72 * side), "capstyle": "butt", "snap": False}
        axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, alpha=alpha, **stroke))


def _list(axes: Axes, confusion: _Confusion, listed: Sequence[tuple[int, int, int]]) -> None:
    """Draws mistakes as bars, each beside its true and predicted class."""
    written = names.drawn(confusion.classes)
    rows = [tuple(names.fit(written[label], 1.05, 7.4) for label in pair) for _, *pair in listed]
    axes.barh(range(len(listed)), [count for count, *_ in listed], height=0.62, color=style.BAD)
    for row, (count, true, predicted) in enumerate(listed):
        text = f"{count:,} ({100 * confusion.share(true, predicted):.0f}%)"
        axes.annotate(
            text, (count, row), (4, 0), textcoords="offset points", color=style.INK, fontsize=7.4, va="center"
        )
    axes.set_yticks(range(len(listed)), [f"{true} → {said}" for true, said in rows], **names.text_style())
    axes.tick_params(labelcolor=style.INK, labelsize=7.4)
    axes.set_ylim(len(listed) - 0.5, -0.5)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.annotate(
        "true class → predicted class",
        (0, 1),
        (-72 * 2.43, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        color=style.QUIET,
        fontsize=style.SMALL,
        va="bottom",
    )


def _taken_for(confusion: _Confusion, label: int) -> str:
    row = confusion.counts[label]
    mistakes = [count if other != label else 0 for other, count in enumerate(row)]
    most = max(range(len(mistakes)), key=mistakes.__getitem__)
    return f", most often predicted as {confusion.classes[most]} ({mistakes[most]})" if mistakes[most] else ""
