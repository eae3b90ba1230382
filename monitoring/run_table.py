"""Runs as rows of plain values: chosen, sorted, grouped by recipe, and written as CSV."""

from __future__ import annotations

import csv
import io
import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ml.config import knobs
from ml.errors import ConfigError
from ml.records import SummaryRecord
from monitoring.summaries import parameter_text, run_seconds, shown_state

Row = dict[str, Any]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": lambda value, part: str(part) in str(value),
}
_PARAMETERS = tuple(knob.name for knob in knobs() if knob.name != "seed")
_RECIPE = tuple(knob.name for knob in knobs() if knob.name != "seed" and knob.section != "gate")
_FACTS = (
    "run_id",
    "model",
    "state",
    "trigger",
    "sweep",
    "started",
    "duration_seconds",
    "epochs_done",
    "best_epoch",
    "best_validation_loss",
    "last_validation_loss",
    "last_validation_accuracy",
    "test_accuracy",
    "test_loss",
    "test_calibration_error",
    "decision",
    "reason",
    "dataset_sha256",
    "model_sha256",
    "git_commit",
    "seed",
)
KEYS = (*_FACTS, *_PARAMETERS)
"""What runs can be chosen and sorted by; every knob is one of them, and `seed` is the one in force."""


def row(summary: SummaryRecord, now: float, stalled_seconds: float) -> Row:
    """A run's facts and parameters; None where there is no value yet. Durations are seconds, ratios 0 to 1."""
    known = {
        **vars(summary),
        "state": shown_state(summary, now, stalled_seconds),
        "duration_seconds": run_seconds(summary, now),
        "epochs_done": summary.epochs,
    }
    facts = {key: known[key] for key in _FACTS}
    parameters = {key: summary.parameters.get(key) for key in _PARAMETERS}
    return {**facts, **{key: _flat(value) for key, value in parameters.items()}}


def _flat(value: Any) -> Any:
    return parameter_text(value) if isinstance(value, list) else value


def _is_missing(value: Any) -> bool:
    """Text that is not there yet is empty in a summary, everything else is None."""
    return value is None or value == ""


@dataclass(frozen=True)
class Condition:
    """``KEY OP VALUE``."""

    key: str
    operator: str
    value: str

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.operator not in _OPERATORS:
            raise ConfigError(f"{self.operator!r} is no operator; use one of {' '.join(_OPERATORS)}")

    def holds(self, of: Row) -> bool:
        """Whether a row meets it; numbers compare as numbers, and what has no value yet meets only ``!=``."""
        value = of[self.key]
        if _is_missing(value):
            return self.operator == "!=" or (self.operator == "=" and self.value == "")
        if isinstance(value, int | float) and self.operator != "~":
            try:
                return _OPERATORS[self.operator](float(value), float(self.value))
            except ValueError:
                raise ConfigError(f"{self.key} is a number, so it can't be compared with {self.value!r}") from None
        return _OPERATORS[self.operator](str(value), self.value)


def check_key(key: str) -> None:
    """
    Raises:
        ConfigError: rows have no such key.
    """
    if key not in KEYS:
        raise ConfigError(f"runs have no {key!r}; known are {', '.join(KEYS)}")


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """Sorted by a key, or by ``-key`` from the highest down; rows without a value come last.

    Raises:
        ConfigError: rows have no such key.
    """
    key, down = by.removeprefix("-"), by.startswith("-")
    check_key(key)
    having = [of for of in rows if not _is_missing(of[key])]
    lacking = [of for of in rows if _is_missing(of[key])]
    numeric = all(isinstance(of[key], int | float) for of in having)
    return sorted(having, key=lambda of: of[key] if numeric else str(of[key]), reverse=down) + lacking


@dataclass(frozen=True)
class Recipe:
    """Runs that differ in their seed only."""

    parameters: Row
    """The knobs that are not the same in all recipes shown."""
    runs: int
    """Tested runs."""
    mean: float
    """Of test accuracy, 0 to 1."""
    stddev: float | None
    """Sample standard deviation; None with a single run."""
    best: str
    """run_id of the most accurate."""


def recipes(rows: Sequence[Row]) -> list[Recipe]:
    """Tested runs grouped by their data and by all knobs but the seed and the gate's, the most accurate group first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    grouping = (*_RECIPE, "dataset_sha256")
    for of in rows:
        if of["test_accuracy"] is not None:
            groups.setdefault(tuple(of[key] for key in grouping), []).append(of)
    telling = [key for index, key in enumerate(grouping) if len({group[index] for group in groups}) > 1]
    found = []
    for members in groups.values():
        scores = [of["test_accuracy"] for of in members]
        found.append(
            Recipe(
                parameters={key: members[0][key] for key in telling},
                runs=len(scores),
                mean=statistics.mean(scores),
                stddev=statistics.stdev(scores) if len(scores) > 1 else None,
                best=max(members, key=lambda of: of["test_accuracy"])["run_id"],
            )
        )
    return sorted(found, key=lambda recipe: -recipe.mean)


def as_csv(rows: Sequence[Row]) -> str:
    """All rows with a header, as RFC 4180 has it but for plain line feeds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, KEYS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
