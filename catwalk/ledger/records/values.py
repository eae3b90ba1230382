"""What several records ask of their values, and how those of an older version are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from typing import Any, TypeGuard

_OLD_STATISTICS = ("pixel_mean", "pixel_stddev")
"""Version 0.1 has these beside the other fields of a record."""
_YEAR_9999 = 253_370_764_800.0
"""Its beginning, in seconds since the Unix epoch."""


def completed(values: dict[str, Any], **made: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """JSON values, with the fields that they lack made of those that they have."""
    return {**values, **{name: make(values) for name, make in made.items() if name not in values}}


def old_statistics(values: dict[str, Any]) -> dict[str, Any]:
    """Name → value, of the statistics that version 0.1 has as fields."""
    return {name: values[name] for name in _OLD_STATISTICS if values.get(name) is not None}


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """One level of knob name → value, as in a table of parameters; what is in no section stays as it is."""
    sections = [section if isinstance(section, dict) else {name: section} for name, section in config.items()]
    return {name: value for section in sections for name, value in section.items()}


def class_names(recorded: list[str], count: int) -> list[str]:
    """Names of `count` classes in label order: those of a record, or ``0``, ``1`` … where it names none.

    Raises:
        ValueError: the record names another number of classes.
    """
    if not recorded:
        return [str(label) for label in range(count)]
    if len(recorded) != count:
        raise ValueError(f"it names {len(recorded)} classes, but has figures of {count}")
    return recorded


def check_classes(names: list[str], *figures: Sized) -> None:
    """
    Args:
        names: of the classes; may be empty.
        figures: each has one value a class, or none yet.

    Raises:
        ValueError: they are not of the same classes, or two classes could not be told apart.
    """
    if "" in names or len(set(names)) < len(names):
        raise ValueError("it names a class twice, or one by no name")
    counts = sorted({len(one) for one in (names, *figures)} - {0})
    if len(counts) > 1:
        raise ValueError(f"its names and figures are of {' and of '.join(map(str, counts))} classes")


def is_finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a value, and one that can be ordered and averaged: neither NaN nor infinity."""
    return value is not None and math.isfinite(value)


def is_time(seconds: float) -> bool:
    """Whether it lies in the years that dates have: neither NaN nor infinite, which no table could show or order."""
    return 0 <= seconds < _YEAR_9999
