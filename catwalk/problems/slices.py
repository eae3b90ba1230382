"""Slices of the test examples: how good a model is on each, and on which it got worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError
from catwalk.problems import arrays
from catwalk.problems.arrays import Floats
from catwalk.problems.interface import Outcome, Problem
from catwalk.problems.paired.differences import Paired, holm

MOST_VALUES = 200
"""The most values of a slice; each value is a row, a series and a test."""
MISSING = "none"
"""The value of examples that have none."""


@dataclass(frozen=True)
class SliceScore:
    """A model's score on the examples with one value of a slice."""

    examples: int
    metric: float | None
    """The headline; None if it is undefined for these examples."""


@dataclass(frozen=True)
class SliceDifference:
    """How a challenger differs from a baseline on one value of a slice."""

    slice: str
    value: str
    statistic: Paired
    p: float
    """The one-sided p-value of a loss, corrected for the number of tests (Holm, 1979)."""


def checked(given: Mapping[str, Any], rows: int) -> dict[str, NDArray[Any]]:
    """Returns slices from a caller: the value of each example as text by slice, (n,) each.

    Raises:
        InputError: one has a different shape, or too many values.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"slices: expected a dict of name → values, shape ({rows},); got {type(given).__name__}")
    found = {}
    for name, values in given.items():
        argument, expected = f"slices[{name!r}]", f"a value for each label, shape ({rows},)"
        values_as_text = arrays.texts(arrays.column(argument, values, expected, rows))
        text = np.asarray([MISSING if value is None else value for value in values_as_text], dtype=object)
        distinct = len(set(text.tolist()))
        if distinct > MOST_VALUES:
            raise InputError(
                f"{argument}: expected at most {MOST_VALUES} different values; got {distinct:,}; group them"
            )
        found[str(name)] = text
    return found


def slice_scores(
    problem: Problem, outcome: Outcome, slices: Mapping[str, NDArray[Any]]
) -> dict[str, dict[str, SliceScore]]:
    """Returns the headline metric by slice and value, for checked slices."""
    found: dict[str, dict[str, SliceScore]] = {name: {} for name in slices}
    for name, value, members in _parts(slices):
        try:
            metrics = problem.measure(outcome.labels[members], outcome.scores[members]).metrics
        except InputError:  # AUC of a single class
            metrics = {}
        found[name][value] = SliceScore(int(members.sum()), metrics.get(problem.metrics[0].name))
    return found


def regressions(
    problem: Problem, labels: NDArray[Any], challenger: Floats, baseline: Floats, slices: Mapping[str, NDArray[Any]]
) -> list[SliceDifference]:
    """Returns each value of each slice, the one that got worse most clearly first, without those too small to test.

    Args:
        problem: The models' kind of problem.
        labels: The labels, as in the outcome, (n,).
        challenger: The challenger's loss, (n,).
        baseline: The other model's loss, (n,).
        slices: The value of each example by slice, (n,) each.
    """
    tested = [
        (name, value, problem.paired(labels[members], challenger[members], baseline[members]))
        for name, value, members in _parts(slices)
        if not problem.too_few(labels[members])
    ]
    adjusted = holm([statistic.p_worse for _, _, statistic in tested])
    found = [SliceDifference(*part, p) for part, p in zip(tested, adjusted, strict=True)]
    return sorted(found, key=lambda difference: difference.p)


def _parts(slices: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for name, values in slices.items():
        for value in sorted(set(values.tolist())):
            yield name, str(value), values == value
