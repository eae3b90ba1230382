"""Figures of test images with the model's predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from catwalk.report.facts import Facts, MissingError, Predictions
from catwalk.report.figures import names, style

_COLUMNS, _ROWS = 5, 2
SHOWN = _COLUMNS * _ROWS
_PIXELS = 160
"""Pictures with more than twice as many rows or columns are thinned out: more detail would be invisible at this size.
"""


def example_predictions(facts: Facts) -> style.Drawing:
    """Draws images of each class, chosen at random with the run id as seed: different each night, the same at every
    build.
    """
    predictions, images = facts.predictions.get(), facts.images.get()
    seed = int.from_bytes(hashlib.sha256(facts.run_id.encode()).digest()[:8], "big")
    lot = np.random.default_rng(seed)
    tested = [label for label in range(len(predictions.classes)) if (predictions.labels == label).any()]
    shown = tested if len(tested) <= names.FEW else sorted(lot.choice(tested, names.FEW, replace=False).tolist())
    each = max(1, SHOWN // max(1, len(shown)))
    of_class = [np.flatnonzero(predictions.labels == label) for label in shown]
    drawn = [lot.choice(indices, min(each, len(indices)), replace=False).tolist() for indices in of_class]
    chosen = [index for indices in drawn for index in indices]
    right = int(predictions.right[chosen].sum())
    some = "One test image" if each == 1 else f"{each} test images"
    which = "each class" if len(shown) == len(tested) else f"each of {len(shown)} of the {len(tested)} classes"
    note = f"{some} of {which}, chosen at random: {right} of {len(chosen)} correct. Orange: wrong."
    return _gallery("Example predictions", chosen, predictions, [images[index] for index in chosen], note)


def worst_mistakes(facts: Facts) -> style.Drawing:
    """Draws the wrong answers that the model was most confident of."""
    predictions = facts.predictions.get()
    wrong = np.flatnonzero(~predictions.right)
    if not len(wrong):
        raise MissingError("There are none: every test image was classified correctly.")
    chosen, pictures = _worst(facts, predictions, wrong)
    sure = int((predictions.confidence[wrong] > 0.9).sum())
    note = (
        f"The wrong answers with the highest probability. The model made {sure:,} of its {len(wrong):,} mistakes with "
        "a "
        "probability above 90 %."
    )
    return _gallery("Worst mistakes", chosen, predictions, pictures, note)


def _worst(
    facts: Facts, predictions: Predictions, wrong: NDArray[np.intp]
) -> tuple[list[int], Sequence[NDArray[np.uint8]]]:
    """Returns the worst mistakes and their pictures, stored with the run or otherwise from its dataset."""
    if facts.previews.value or facts.previews.why:
        stored = facts.previews.get()
        return stored.indices[:SHOWN].tolist(), list(stored.pictures[:SHOWN])
    images = facts.images.get()
    chosen = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:SHOWN].tolist()
    return chosen, [images[index] for index in chosen]


def _gallery(
    title: str, chosen: Sequence[int], predictions: Predictions, pictures: Sequence[NDArray[np.uint8]], note: str
) -> style.Drawing:
    captions, descriptions = [], []
    classes, written = predictions.classes, names.drawn(predictions.classes)
    labels = set()
    for index in chosen:
        true, said = int(predictions.labels[index]), int(predictions.predicted[index])
        p = _percent(predictions.confidence[index])
        labels |= {true, said}
        captions.append((written[true], [written[said], p], bool(predictions.right[index])))
        descriptions.append(f"{classes[true]}: {classes[said]}, {p}")
    figure = picture_grid(pictures, captions)
    alt = f"{len(chosen)} images, each with true class, predicted class and probability. {'; '.join(descriptions)}."
    return style.Drawing(figure, title, alt, style.sentences(note, names.undrawn_note(classes, labels)))


def _percent(probability: float) -> str:
    """Returns a percentage, never 100 %: softmax never gives certainty."""
    if probability > 0.9999:
        return "> 99.99%"
    return f"{100 * probability:.{2 if probability > 0.99 else 1}f}%"


def picture_grid(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, Sequence[str], bool]]) -> Figure:
    """Draws pictures in rows of five, each under its true class, with two lines below, in blue if they are correct."""
    rows = max(1, -(-len(pictures) // _COLUMNS))
    tall, side, size = 1.24, 0.76, 6.8
    height = rows * tall + 0.06
    figure = style.new_figure(height)
    # One pair of axes in inches for all pictures: a pair for each would take longer to create than to draw.
    axes = style.add_axes(figure, 0, 0, style.WIDTH, height)
    axes.set_axis_off()
    for number, (picture, (true, said, right)) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, _COLUMNS)
        left = 0.08 + column * (style.WIDTH - 0.08) / _COLUMNS
        bottom = height - row * tall - 0.2 - side
        colour = style.GOOD if right else style.BAD
        _show(axes, picture, _within(picture, left, bottom, side))
        axes.add_patch(Rectangle((left, bottom), side, side, facecolor="none", edgecolor=colour, linewidth=1.6))
        words: dict[str, Any] = {"ha": "center", "fontsize": size, "linespacing": 1.15, **names.text_style()}
        above, *below = (names.fit(text, side + 0.06, size) for text in (true, *said))
        axes.text(left + side / 2, bottom + side + 0.04, above, color=style.INK, va="bottom", **words)
        axes.text(left + side / 2, bottom - 0.05, "\n".join(below), color=colour, va="top", **words)
    axes.set_xlim(0, style.WIDTH)
    axes.set_ylim(0, height)
    return figure


def _show(axes: Axes, picture: NDArray[np.uint8], extent: tuple[float, float, float, float]) -> None:
    coarse = max(1, max(picture.shape[:2]) // _PIXELS)
    shown = picture[::coarse, ::coarse]
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="none", extent=extent, aspect="auto")


def _within(picture: NDArray[np.uint8], left: float, bottom: float, side: float) -> tuple[float, float, float, float]:
    """Returns left, right, bottom and top of a picture that is centred in a square and keeps its proportions."""
    tall, wide = (side * length / max(picture.shape[:2]) for length in picture.shape[:2])
    x, y = left + (side - wide) / 2, bottom + (side - tall) / 2
    return x, x + wide, y, y + tall
