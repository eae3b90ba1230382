"""Limits that a user gives a model: numbers, each with an optional reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catwalk.errors import InputError, shown
from catwalk.gate.config import LIMITS
from catwalk.problems.interface import is_number

Threshold = float | tuple[float, str]
"""A threshold, or a threshold and its reason."""


def parted(name: str, threshold: Threshold) -> tuple[float, str]:
    """Returns a threshold and its reason, which may be empty.

    Raises:
        InputError: it is neither a number nor a number with its reason.
    """
    value, reason = threshold if isinstance(threshold, tuple) and len(threshold) == 2 else (threshold, "")
    if not (is_number(value) and isinstance(reason, str)):
        raise InputError(f"thresholds[{name!r}]: expected a number, or (number, 'reason'); got {shown(threshold)}")
    return float(value), reason


def check_not_negative(name: str, value: float) -> None:
    """Checks that a threshold is not negative.

    Raises:
        InputError: it is below 0.
    """
    if value < 0:
        raise InputError(f"thresholds[{name!r}]: expected a number of at least 0; got {value:g}")


def of_alerts(given: Mapping[str, Threshold]) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns limits of alerts, and their reasons by name, both as in run.json; empty if none is given.

    Raises:
        InputError: one is not a limit of an alert, or not a number of at least 0.
    """
    found = {name: parted(name, threshold) for name, threshold in given.items()}
    for name, (value, _) in found.items():
        if name not in LIMITS:
            raise InputError(f"thresholds: expected limits of alerts: {', '.join(LIMITS)}; got {name!r}")
        check_not_negative(name, value)
    limits = {name: value for name, (value, _) in found.items()}
    return {"limits": limits} if limits else {}, {name: reason for name, (_, reason) in found.items() if reason}
