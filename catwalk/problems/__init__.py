"""Kinds of problems, a module each: the metrics, and what the gate and the reports need from a model's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from catwalk.errors import ConfigError
from catwalk.ledger.records.run import RunRecord
from catwalk.problems.binary import Binary
from catwalk.problems.interface import Metric, Problem
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.regression import Regression

KINDS: Mapping[str, type[Multiclass | Binary | Regression]] = {
    "multiclass": Multiclass,
    "binary": Binary,
    "regression": Regression,
}


def describe(problem: Problem) -> dict[str, Any]:
    """Returns a problem as plain values for a record: its kind, and its fields by name."""
    return {"kind": problem.kind, **asdict(problem)}  # type: ignore[call-overload]


def described(values: Mapping[str, Any]) -> Problem:
    """Returns the problem that :func:`describe` has written. Fields that this version doesn't know are ignored.

    Raises:
        ConfigError: this version doesn't know its kind, or a field has an invalid value.
    """
    kind = str(values.get("kind"))
    if kind not in KINDS:
        raise ConfigError(f"problem: expected one of the kinds {', '.join(KINDS)}; got {kind!r:.50}")
    known = {field.name for field in fields(KINDS[kind])}
    return KINDS[kind](**{name: value for name, value in values.items() if name in known})


def of_record(record: RunRecord) -> Problem:
    """Returns the kind of problem of a run's model; the stages, and older versions, only record the classes.

    Raises:
        ConfigError: see :func:`described`.
    """
    return described(record.problem) if record.problem else Multiclass(tuple(record.classes))


def measured(problem: Problem, scores: Mapping[str, float]) -> list[tuple[Metric, float]]:
    """Returns the problem's metrics that were measured, the headline first."""
    return [(metric, scores[metric.name]) for metric in problem.metrics if metric.name in scores]
