"""Runs as rows of plain values: filtered, sorted, grouped by recipe, and written as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from catwalk.errors import ConfigError
from catwalk.gate.config import GateConfig
from catwalk.knobs import knob_text
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import is_finite
from catwalk.ledger.summaries import run_seconds, shown_state

Row = dict[str, Any]
Keys = dict[str, type]
"""The keys that runs can be filtered and sorted by, and their types."""

_ORDERING: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, "!=": operator.ne}
_OPERATORS = (*_EQUALITY, *_ORDERING, "~")
_OF_THE_GATE = {item.name for item in dataclasses.fields(GateConfig)}
_FACTS: Keys = {
    "run_id": str,
    "model": str,
    "state": str,
    "trigger": str,
    "sweep": str,
    "started": datetime,
    "finished": datetime,
    "duration_seconds": float,
    "epochs_done": int,
    "best_epoch": int,
    "best_validation_loss": float,
    "last_validation_loss": float,
    "last_validation_accuracy": float,
    "test_accuracy": float,
    "test_loss": float,
    "test_calibration_error": float,
    "decision": str,
    "reason": str,
    "dataset_sha256": str,
    "as_of": str,
    "model_sha256": str,
    "git_commit": str,
    "synthetic": bool,
    "reproducible": bool,
    "seed": int,
}


def keys_of(summaries: Sequence[SummaryRecord]) -> Keys:
    """The facts that every run has, and every knob and metric of these runs; `seed` is the one that was used."""
    values: dict[str, list[Any]] = {}
    for summary in summaries:
        for name, value in summary.parameters.items():
            values.setdefault(name, []).append(value)
    knobs = {name: _kind_of(found) for name, found in values.items() if name not in _FACTS}
    tested = {f"test_{name}": float for summary in summaries for name in summary.test_metrics}
    return {**_FACTS, **knobs, **{name: kind for name, kind in tested.items() if name not in _FACTS}}


def _kind_of(values: Sequence[Any]) -> type:
    """The common type of values; numbers only if all are numbers."""
    kinds = {type(value) for value in values if value is not None}
    return next((kind for kind in (bool, int, float) if kinds == {kind}), float if kinds == {int, float} else str)


def row(summary: SummaryRecord, now: float, stalled_seconds: float, keys: Keys) -> Row:
    """A run's facts and parameters; None if there is no value yet.

    Durations are seconds, times seconds since the Unix epoch, ratios 0 to 1.
    """
    known = {
        **vars(summary),
        "state": shown_state(summary, now, stalled_seconds),
        "duration_seconds": run_seconds(summary, now),
        "epochs_done": summary.epochs,
    }
    others = {
        **{name: _flat(name, value) for name, value in summary.parameters.items()},
        **{f"test_{name}": value for name, value in summary.test_metrics.items()},
    }
    return {key: known[key] if key in _FACTS else others.get(key) for key in keys}


def _flat(key: str, value: Any) -> Any:
    return knob_text(key, value) if isinstance(value, list | dict) else value


def _is_missing(value: Any) -> bool:
    """In a summary, missing text is empty, and any other missing value is None."""
    return value is None or value == ""


def _has_order(value: Any) -> bool:
    """Whether a value can be ordered; NaN can't."""
    return not _is_missing(value) and not (isinstance(value, float) and math.isnan(value))


def parts(text: str) -> tuple[str, str, str]:
    """Key, operator and value of ``KEY OP VALUE``, as :class:`Condition` takes them.

    Raises:
        ConfigError: The text doesn't have three parts.
    """
    key, operator, value, *_ = [*text.split(maxsplit=2), "", "", ""]
    if not value:
        raise ConfigError(f"--where takes KEY OP VALUE with spaces between, such as 'epochs >= 10', not {text!r}")
    return key, operator, value


@dataclass(frozen=True)
class Condition:
    """``KEY OP VALUE``.

    Raises:
        ConfigError: Rows have no such key, or it can't be compared this way.
    """

    key: str
    operator: str
    value: str
    keys: Keys

    def __post_init__(self) -> None:
        check_key(self.key, self.keys)
        if self.operator not in _OPERATORS:
            raise ConfigError(f"{self.operator!r} is not an operator; use one of {' '.join(_OPERATORS)}")
        if self.operator in _ORDERING and self._kind is bool:
            raise ConfigError(f"{self.key} is true or false, so compare it with = or !=, not {self.operator}")
        if self.operator in _EQUALITY and self._kind is datetime:
            raise ConfigError(
                f"{self.key} is a time, which hardly any run matches exactly: give two bounds with >= and <, or the "
                f"beginning of a time with ~, such as '{self.key} ~ 2026-11-26'"
            )
        _ = self._operand

    @property
    def _kind(self) -> type:
        return self.keys[self.key]

    @cached_property
    def _operand(self) -> Any:
        """The value, in the key's type."""
        return self.value if self.operator == "~" else _READERS.get(self._kind, _text)(self.key, self.value)

    def holds(self, of: Row) -> bool:
        """Whether a row meets it; a missing value meets only ``!=``."""
        value = of[self.key]
        if _is_missing(value):
            return self.operator == "!="
        if self.operator == "~":
            return self.value in _shown(self._kind, value)
        if self._kind is str or not isinstance(value, int | float):  # the latter: written by another version
            return self._compare(str(value), self.value)
        return self._compare(value, self._operand)

    def _compare(self, value: Any, operand: Any) -> bool:
        if self.operator in _ORDERING:
            return _ORDERING[self.operator](value, operand)
        both_nan = value != value and operand != operand  # so that `last_validation_loss = nan` finds diverged runs
        return bool(both_nan or value == operand) == (self.operator == "=")


def meeting(
    wanted: Sequence[tuple[str, str, str]], summaries: Sequence[SummaryRecord], now: float, stalled_seconds: float
) -> tuple[list[Row], Keys]:
    """Rows of the runs that meet every condition, in the given order, and the keys of the rows.

    Args:
        wanted: Key, operator and value of each condition; see :func:`parts`.
        summaries: The runs.
        now: The current time, in seconds since the Unix epoch.
        stalled_seconds: A run counts as stalled after this long without a sign of life.

    Raises:
        ConfigError: See :class:`Condition`.
    """
    keys = keys_of(summaries)
    conditions = [Condition(*parts, keys) for parts in wanted]
    rows = [row(summary, now, stalled_seconds, keys) for summary in summaries]
    return [of for of in rows if all(condition.holds(of) for condition in conditions)], keys


def _text(key: str, text: str) -> str:
    return text


def _number(key: str, text: str) -> int | float:
    """The number in a text. Whole numbers stay integers: a float would lose the last digits of a seed."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ConfigError(f"{key} is a number, so it can't be compared with {text!r}")


def _truth(key: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ConfigError(f"{key} is true or false, so it can't be compared with {text!r}")
    return text.lower() == "true"


def _moment(key: str, text: str) -> float:
    """Seconds since the Unix epoch, from seconds or a time in ISO 8601; without a zone it is UTC."""
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{key} is a time: give a date such as 2026-11-26 (its start in UTC), a time such as "
            f"2026-11-26T03:00 (UTC) or 2026-11-26T03:00+01:00, or seconds since 1970, not {text!r}"
        ) from None


_READERS: dict[type, Callable[[str, str], Any]] = {
    int: _number,
    float: _number,
    bool: _truth,
    datetime: _moment,
}


def _shown(kind: type, value: Any) -> str:
    """A value as text; times in ISO 8601, UTC."""
    if kind is datetime:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return str(value).lower() if kind is bool else str(value)


def check_key(key: str, keys: Keys) -> None:
    """
    Raises:
        ConfigError: Rows have no such key.
    """
    if key not in keys:
        raise ConfigError(f"runs have no key {key!r}; the keys are {', '.join(keys)}")


def ordered(rows: Sequence[Row], by: str, keys: Keys) -> list[Row]:
    """Rows sorted by a key, or by ``-key`` in descending order; rows without a value, or with NaN, come last.

    Raises:
        ConfigError: Rows have no such key.
    """
    key, down = by.removeprefix("-"), by.startswith("-")
    check_key(key, keys)
    having = [of for of in rows if _has_order(of[key])]
    lacking = [of for of in rows if not _has_order(of[key])]
    numeric = all(isinstance(of[key], int | float) for of in having)
    return sorted(having, key=lambda of: of[key] if numeric else str(of[key]), reverse=down) + lacking


@dataclass(frozen=True)
class Recipe:
    """Runs that differ only in their seed."""

    parameters: Row
    """The knobs that differ between the recipes shown."""
    runs: int
    """The number of tested runs."""
    mean: float
    """Mean test accuracy, 0 to 1."""
    stddev: float | None
    """Sample standard deviation; None with a single run."""
    best: str
    """run_id of the most accurate run."""


def recipes(rows: Sequence[Row]) -> list[Recipe]:
    """Tested runs grouped by their data and all knobs except the seed and the gate's; the most accurate group first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    knobs = [key for key in (rows[0] if rows else ()) if key not in _FACTS and key not in _OF_THE_GATE]
    grouping = (*knobs, "dataset_sha256")
    for of in rows:
        if is_finite(of["test_accuracy"]):
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


def as_csv(rows: Sequence[Row], keys: Keys) -> str:
    """All rows with a header, in the format of RFC 4180 but with plain line feeds.

    An apostrophe precedes text that a spreadsheet would take for a formula.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(keys), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in of.items()} for of in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
