"""Shared checks of records' values, and reading those of an older version."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from typing import Any, TypeGuard

_OLD_STATISTICS = ("pixel_mean", "pixel_stddev")
"""Statistics that version 0.1 stores as fields of a record."""
_YEAR_9999 = 253_370_764_800.0
"""The start of that year, in seconds since the Unix epoch."""


def completed(values: dict[str, Any], **made: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """JSON values, with missing fields computed from the others."""
    return {**values, **{name: make(values) for name, make in made.items() if name not in values}}


def old_statistics(values: dict[str, Any]) -> dict[str, Any]:
    """Name → value, for the statistics that version 0.1 stores as fields."""
    return {name: values[name] for name in _OLD_STATISTICS if values.get(name) is not None}


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Knob name → value, in one level, as in a table of parameters; values outside a section stay as they are."""
    sections = [section if isinstance(section, dict) else {name: section} for name, section in config.items()]
    return {name: value for section in sections for name, value in section.items()}


def class_names(recorded: list[str], count: int) -> list[str]:
    """Names of `count` classes in label order: those of a record, or ``0``, ``1`` … if it has none.

    Raises:
        ValueError: The record names another number of classes.
    """
    if not recorded:
        return [str(label) for label in range(count)]
    if len(recorded) != count:
        raise ValueError(f"it names {len(recorded)} classes, but has figures for {count}")
    return recorded


def check_classes(names: list[str], *figures: Sized) -> None:
    """
    Args:
        names: The class names; may be empty.
        figures: Lists with one value per class, or still empty.

    Raises:
        ValueError: Their numbers of classes differ, or two classes have the same name.
    """
    if "" in names or len(set(names)) < len(names):
        raise ValueError("it names a class twice, or has a class without a name")
    counts = sorted({len(one) for one in (names, *figures)} - {0})
    if len(counts) > 1:
        raise ValueError(f"its names and figures are for {' and '.join(map(str, counts))} classes")


def is_finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a value that can be ordered and averaged: neither NaN nor infinity."""
    return value is not None and math.isfinite(value)


def is_time(seconds: float) -> bool:
    """Whether a time is in the range of dates: tables can't show or order NaN and infinity."""
    return 0 <= seconds < _YEAR_9999
