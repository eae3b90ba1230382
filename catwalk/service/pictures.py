"""Six features of how pictures look, whatever they show: a change of camera, crop or light moves them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError

NAMES = ("brightness", "contrast", "edges", "sharpness", "orientation", "border")
_LITTLE = 1e-6
_SMALLEST = 3
"""Rows and columns that a second derivative needs."""
_MOST_COLOURS = 4


def features(pictures: Any) -> NDArray[np.float32]:
    """Returns the features of n pictures, float32 (n, 6).

    Args:
        pictures: (n, height, width), or (n, height, width, colours); integers from 0 to 255, or floats, which are taken
            as they are: give a service's the range of those that the reference was made of.

    Raises:
        InputError: they have another shape.
    """
    grey = _grey(pictures)
    brightness = _mean(grey)
    deviations = _flat(grey) - brightness[:, None]
    horizontal = _mean(np.abs(grey[:, :, 1:] - grey[:, :, :-1]))
    vertical = _mean(np.abs(grey[:, 1:] - grey[:, :-1]))
    both = horizontal + vertical
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    columns = (
        brightness,
        np.sqrt(_mean(deviations * deviations)),
        both,
        _curvature(grey) / (both + _LITTLE),
        (horizontal - vertical) / (both + _LITTLE),
        _mean(border),
    )
    return np.stack(columns, axis=1)


def _flat(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the values of each picture in a row."""
    return values.reshape(len(values), math.prod(values.shape[1:]))  # no pictures have no -1


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mean of each picture's values. A service asks about one picture at a time, and for one the mean of a
    row is half as expensive as that over two axes.
    """
    flat = _flat(values)
    total: NDArray[np.float32] = np.add.reduce(flat, axis=1)
    return total / np.float32(flat.shape[1])


def _grey(given: Any) -> NDArray[np.float32]:
    found = np.asarray(given)
    scale = 1 if found.dtype.kind == "f" else 255
    if found.ndim == 4 and found.shape[3] <= _MOST_COLOURS and found.dtype.kind in "uif":
        found = found.mean(axis=3)
    if found.ndim != 3 or min(found.shape[1:]) < _SMALLEST or found.dtype.kind not in "uif":
        raise InputError(f"pictures: expected numbers, (n, height, width); got {found.dtype}, shape {found.shape}")
    return found.astype(np.float32) / np.float32(scale)


def _curvature(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mean magnitude of the Laplacian."""
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return _mean(np.abs(4 * grey[:, 1:-1, 1:-1] - around))
