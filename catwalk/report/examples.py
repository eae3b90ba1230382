"""Test images with what the model says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from catwalk.report import style
from catwalk.report.facts import Facts, MissingError, Predictions
from ml.fashion_mnist.config import CLASSES

_COLUMNS, _ROWS = 5, 2
SHOWN = _COLUMNS * _ROWS


def example_predictions(facts: Facts) -> style.Drawing:
    """One image of each class, drawn by lot from the run id: another one each night, the same at every build."""
    predictions, images = facts.predictions.get(), facts.images.get()
    seed = int.from_bytes(hashlib.sha256(facts.run_id.encode()).digest()[:8], "big")
    lot = np.random.default_rng(seed)
    of_class = [np.flatnonzero(predictions.labels == label) for label in range(len(CLASSES))]
    chosen = [int(lot.choice(indices)) for indices in of_class if len(indices)]
    right = int(predictions.right[chosen].sum())
    note = f"One test image of each class, drawn by lot: {right} of {len(chosen)} right. Orange: wrong."
    return _gallery("Example predictions", chosen, predictions, images, note)


def worst_mistakes(facts: Facts) -> style.Drawing:
    """The wrong answers that the model was most sure of."""
    predictions, images = facts.predictions.get(), facts.images.get()
    wrong = np.flatnonzero(~predictions.right)
    if not len(wrong):
        raise MissingError("There are none: every test image was classified right.")
    chosen = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:SHOWN].tolist()
    sure = int((predictions.confidence[wrong] > 0.9).sum())
    note = (
        f"The wrong answers that the model was surest of. Of {len(wrong):,} mistakes it made {sure:,} with a "
        "probability above 90 %."
    )
    return _gallery("Worst mistakes", chosen, predictions, images, note)


def _gallery(
    title: str, chosen: Sequence[int], predictions: Predictions, images: NDArray[np.uint8], note: str
) -> style.Drawing:
    captions, told = [], []
    for index in chosen:
        true, said = CLASSES[predictions.labels[index]], CLASSES[predictions.predicted[index]]
        p = predictions.confidence[index]
        captions.append((true, f"{said}\n{_percent(p)}", bool(predictions.right[index])))
        told.append(f"{true}: {said}, {_percent(p)}")
    figure = picture_grid([images[index] for index in chosen], captions)
    alt = f"{len(chosen)} garments, each with true class, predicted class and probability. {'; '.join(told)}."
    return style.Drawing(figure, title, alt, note)


def _percent(probability: float) -> str:
    """Never 100 %: softmax isn't sure of anything."""
    if probability > 0.9999:
        return "> 99.99%"
    return f"{100 * probability:.{2 if probability > 0.99 else 1}f}%"


def picture_grid(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, str, bool]]) -> Figure:
    """Pictures in rows of five, each under its true class, with two lines below, in blue where they are right."""
    rows = max(1, -(-len(pictures) // _COLUMNS))
    tall, side = 1.24, 0.76
    height = rows * tall + 0.06
    figure = style.new_figure(height)
    # One pair of axes in inches for all: a pair for each picture takes longer to make than to draw.
    axes = style.add_axes(figure, 0, 0, style.WIDTH, height)
    axes.set_axis_off()
    for number, (picture, (true, said, right)) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, _COLUMNS)
        left = 0.08 + column * (style.WIDTH - 0.08) / _COLUMNS
        bottom = height - row * tall - 0.2 - side
        colour = style.GOOD if right else style.BAD
        extent = (left, left + side, bottom, bottom + side)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none", extent=extent, aspect="auto")
        axes.add_patch(Rectangle((left, bottom), side, side, facecolor="none", edgecolor=colour, linewidth=1.6))
        words: dict[str, Any] = {"ha": "center", "fontsize": 6.8, "linespacing": 1.15}
        axes.text(left + side / 2, bottom + side + 0.04, true, color=style.INK, va="bottom", **words)
        axes.text(left + side / 2, bottom - 0.05, said, color=colour, va="top", **words)
    axes.set_xlim(0, style.WIDTH)
    axes.set_ylim(0, height)
    return figure
