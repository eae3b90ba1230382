"""What a model is asked, a module a kind: its metrics, and what the gate and the reports need of its answers."""

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
    """A problem as plain values for a record: its kind, and its fields by name."""
    return {"kind": problem.kind, **asdict(problem)}  # type: ignore[call-overload]


def described(values: Mapping[str, Any]) -> Problem:
    """The problem that :func:`describe` has written. Fields that this version doesn't know are passed over.

    Raises:
        ConfigError: it is of a kind that this version doesn't know, or a field has an absurd value.
    """
    kind = str(values.get("kind"))
    if kind not in KINDS:
        raise ConfigError(f"problem: expected a kind out of {', '.join(KINDS)}; got {kind!r:.50}")
    known = {field.name for field in fields(KINDS[kind])}
    return KINDS[kind](**{name: value for name, value in values.items() if name in known})


def of_record(record: RunRecord) -> Problem:
    """What the model of a run was asked; the stages, and older versions, say the classes alone.

    Raises:
        ConfigError: see :func:`described`.
    """
    return described(record.problem) if record.problem else Multiclass(tuple(record.classes))


def measured(problem: Problem, scores: Mapping[str, float]) -> list[tuple[Metric, float]]:
    """Those of a problem's metrics that were measured, the headline first."""
    return [(metric, scores[metric.name]) for metric in problem.metrics if metric.name in scores]
