"""Changes of traffic, for trials: pictures that look different, or classes that come more often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Corruption = Literal["none", "brightness", "rotation", "blur", "noise", "class-mix"]
Pictures = NDArray[Any]
Change = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]

_DARKER, _DEGREES, _NOISE, _FAVOURED = 0.6, 15, 0.1, 4


def corrupted(pictures: Pictures, kind: Corruption, random: np.random.Generator) -> Pictures:
    """Returns changed pictures, (n, height, width) or with colours, of the same type and range: integers to 255, floats
    to 1."""
    if kind not in _CHANGES:
        return pictures
    most = 1.0 if pictures.dtype.kind == "f" else 255.0
    changed = np.clip(_CHANGES[kind](pictures / most, random), 0, 1) * most
    return (changed if pictures.dtype.kind == "f" else np.rint(changed)).astype(pictures.dtype)


def touches_pictures(kind: Corruption) -> bool:
    """Returns whether it changes how examples look, rather than which of them come."""
    return kind in _CHANGES


def drawn(labels: NDArray[np.int64], count: int, kind: Corruption, random: np.random.Generator) -> NDArray[np.int64]:
    """Returns the indices of the next examples; a mix of classes has those of the first class four times as often."""
    weights = np.where((kind == "class-mix") & (labels == labels.min()), _FAVOURED, 1.0)
    return random.choice(len(labels), count, p=weights / weights.sum())


def _rotated(pictures: NDArray[np.float64], _: np.random.Generator) -> NDArray[np.float64]:
    """Returns pictures turned about the middle, with nearest pixels; what comes from outside is black."""
    height, width = pictures.shape[1:3]
    down, across = np.mgrid[:height, :width].astype(float)
    down, across = down - (height - 1) / 2, across - (width - 1) / 2
    sine, cosine = np.sin(np.deg2rad(_DEGREES)), np.cos(np.deg2rad(_DEGREES))
    rows = np.rint(cosine * down - sine * across + (height - 1) / 2).astype(int)
    columns = np.rint(sine * down + cosine * across + (width - 1) / 2).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    turned = np.zeros_like(pictures)
    turned[:, inside] = pictures[:, rows[inside], columns[inside]]
    return turned


def _blurred(pictures: NDArray[np.float64], _: np.random.Generator) -> NDArray[np.float64]:
    """Returns pictures whose pixels are the mean of themselves and the eight around them."""
    height, width = pictures.shape[1:3]
    edge = [(0, 0), (1, 1), (1, 1), *[(0, 0)] * (pictures.ndim - 3)]
    padded = np.pad(pictures, edge, mode="edge")
    around = [padded[:, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    return np.asarray(sum(around) / 9)


_CHANGES: Mapping[str, Change] = {
    "brightness": lambda pictures, _: _DARKER * pictures,
    "rotation": _rotated,
    "blur": _blurred,
    "noise": lambda pictures, random: pictures + random.normal(0, _NOISE, pictures.shape),
}
