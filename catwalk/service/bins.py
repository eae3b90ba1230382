"""Finds the bin that a value belongs to. Nothing here raises: what fits no bin is ``missing`` or ``other``."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from catwalk.ledger.records.reference import FeatureReference

Place = Callable[[Any], int]
"""A value → its bin, as an index of :attr:`FeatureReference.bins`."""


def place_of(feature: FeatureReference) -> Place:
    """Returns a function that finds the bin of a value of this feature."""
    return _of_categories(feature.categories) if feature.categories else _of_numbers(feature.edges)


def _of_numbers(edges: list[float]) -> Place:
    missing, other = len(edges) + 1, len(edges) + 2

    def place(value: Any) -> int:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return missing if is_missing(value) else other
        if -math.inf < number < math.inf:
            return bisect_right(edges, number)
        return missing if number != number else other

    return place


def _of_categories(categories: list[str]) -> Place:
    index = {name: number for number, name in enumerate(categories)}
    missing, other = len(categories), len(categories) + 1

    def place(value: Any) -> int:
        if type(value) is str:  # nearly always, and much faster than isinstance
            return index.get(value, other)
        return missing if is_missing(value) else index.get(text(value), other)

    return place


def is_missing(value: Any) -> bool:
    """Returns whether there is no value: None, NaN, or what pandas uses for it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def text(value: Any) -> str:
    """Returns a category as a label: whole numbers without a point, from any library."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
