"""An epoch that a caller logs, as a record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from catwalk.errors import InputError, shown
from catwalk.ledger.records.training import EpochRecord

MOST_NUMBER = 10**15
"""Largest number of an epoch or a step: Prometheus and figures use floats, which are exact up to nine times that."""
MOST_METRICS = 100
"""Maximum number of metrics of one epoch, over all splits."""
_LONGEST_NAME = 100
_FIELDS = {
    ("train", "loss"): "train_loss",
    ("train", "accuracy"): "train_accuracy",
    ("validation", "loss"): "validation_loss",
    ("validation", "accuracy"): "validation_accuracy",
    ("train", "learning_rate"): "learning_rate",
    ("train", "gradient_norm"): "gradient_norm",
    ("train", "examples_per_second"): "examples_per_second",
}
"""Split and metric → their field in a record."""
_NOTHING: dict[str, Any] = dict.fromkeys(_FIELDS.values())


def epoch_record(number: Any, splits: Mapping[str, Any], seconds: float) -> EpochRecord:
    """
    Args:
        number: The number of the epoch or step.
        splits: Split → metric → value; NaN and infinity are allowed.
        seconds: Its duration.

    Raises:
        InputError: An argument is wrong; the message names it, and what was expected and passed.
    """
    fields, metrics = dict(_NOTHING), dict[str, dict[str, float]]()
    for split, values in splits.items():
        for name, value in measured(split, values).items():
            known = _FIELDS.get((split, name))
            if known:
                fields[known] = value
            else:
                metrics.setdefault(split, {})[name] = value
    check_count("epoch", metrics)
    return EpochRecord(
        epoch=_number(number),
        **fields,
        class_accuracy=[],
        duration_seconds=seconds,
        finished=time.time(),
        metrics=metrics,
    )


def check_count(argument: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """
    Raises:
        InputError: There are too many metrics for an epoch.
    """
    count = sum(map(len, metrics.values()))
    if count > MOST_METRICS:
        raise InputError(f"{argument}: expected at most {MOST_METRICS} metrics; got {count}")


def _number(given: Any) -> int:
    try:
        number = given.__index__()
    except (AttributeError, TypeError):  # an array of several values
        number = 0
    if isinstance(given, bool) or not 1 <= number <= MOST_NUMBER:
        raise InputError(
            f"epoch: expected the number of the epoch or step, an integer from 1 to 10^15; got {shown(given)}"
        )
    return int(number)


def measured(argument: str, given: Any) -> dict[str, float]:
    """Metrics by name, as floats.

    Raises:
        InputError: They are not a dict, or a value is not a single number.
    """
    if not isinstance(given, Mapping):
        raise InputError(
            f"{argument}: expected a dict of metric → number; got {type(given).__name__} {shown(given, 40)}"
        )
    return {_name(argument, name): _value(f"{argument}[{name!r}]", value) for name, value in given.items()}


def _name(argument: str, name: Any) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise InputError(f"{argument}: expected metric names as text; got {shown(name)}")
    return name


def _value(argument: str, given: Any) -> float:
    if type(given) is float:
        return given
    try:
        return float(given)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shape = getattr(given, "shape", None)
        came = f"shape {tuple(shape)}" if shape is not None else repr(given)[:40]
        raise InputError(f"{argument}: expected a single number; got {type(given).__name__}, {came}") from None
