"""Turns predictions of a service, and labels from any source, into what the log stores."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from catwalk.errors import InputError, shown
from catwalk.ledger.records.values import is_time
from catwalk.service.log.lines import Answer, Id, Label, digits, id_text

_AHEAD = 86_400.0
"""Seconds by which clocks may differ, or time zones be mistaken."""
_TRUTH = (bool, np.bool_)
_YES_NO = {"0": 0, "1": 1, "false": 0, "true": 1}


def answers(found: Sequence[tuple[Any, Any]], ids: Sequence[Id] | None) -> list[Answer]:
    """Returns predictions with their ids, which are created if none are given.

    Args:
        found: For each, the class and its confidence, or the score.
        ids: The same number of ids; predictions without one get an empty id.
    """
    named = [secrets.token_hex(16) for _ in found] if ids is None else [id_text(each) for each in ids]
    named += [""] * (len(found) - len(named))
    now = time.time()
    return [
        Answer(id_, now, _value(value), float(confidence) if isinstance(confidence, int | float) else None)
        for id_, (value, confidence) in zip(named, found, strict=False)
    ]


def _value(value: Any) -> str | float | None:
    if isinstance(value, str | None):
        return value or None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def checked(
    kind: str,
    classes: Sequence[str],
    ids: Sequence[Any],
    values: Sequence[Any],
    times: Sequence[Any] | None,
    now: float,
) -> list[Label]:
    """Returns labels as the log stores them.

    Args:
        kind: The kind of problem.
        classes: The names of the classes; if there are none, numbers name them.
        ids: The id of each.
        values: The value of each.
        times: The Unix time of each; None if all hold from now on.
        now: Unix time.

    Raises:
        InputError: One of them is wrong, and the message says which; or the numbers of ids, labels and times differ.
    """
    at = [now] * len(ids) if times is None else times
    if not len(ids) == len(values) == len(at):
        raise InputError(f"labels: expected as many ids, labels and times; got {len(ids)}, {len(values)} and {len(at)}")
    return [label(kind, classes, *each, now) for each in zip(ids, values, at, strict=True)]


def label(kind: str, classes: Sequence[str], id_: Any, value: Any, at: Any, now: float) -> Label:
    """Returns one label, with its time as :func:`~catwalk.service.log.lines.label` writes it; see :func:`checked`.

    Raises:
        InputError: It is not a valid label.
    """
    name = id_text(id_)
    if not name:
        raise InputError(
            f"id: expected printable text of 1 to 200 characters, a whole number or a UUID; got {shown(id_)}"
        )
    at = at.item() if isinstance(at, np.generic) else at
    usable = isinstance(at, int | float) and not isinstance(at, bool) and is_time(at)
    if not usable or at > now + _AHEAD:
        raise InputError(f"time of id {name:.60}: expected a Unix time that is not in the future; got {shown(at)}")
    found = _number(value) if kind == "regression" else _class(kind, classes, value)
    if found is None:
        raise InputError(f"label of id {name:.60}: expected {_expected(kind, classes)}; got {shown(value)}")
    return Label(name, found, round(float(at), 3), now)


def _number(value: Any) -> str | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return repr(number) if math.isfinite(number) and not isinstance(value, _TRUTH) else None


def _class(kind: str, classes: Sequence[str], value: Any) -> str | None:
    """Finds a class by its name, or by its index if no class has that name."""
    text = str(value).strip() if isinstance(value, (str, *_TRUTH)) else digits(value)
    if text in classes and not isinstance(value, _TRUTH):
        return text
    if kind == "binary" and text.lower() in _YES_NO:
        return classes[_YES_NO[text.lower()]] if classes else str(_YES_NO[text.lower()])
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    if not classes:
        return str(int(text))
    return classes[int(text)] if int(text) < len(classes) else None


def _expected(kind: str, classes: Sequence[str]) -> str:
    if kind == "regression":
        return "a finite number"
    if not classes:
        return "the number of a class"
    return f"one of {', '.join(classes[:5])}{' …' if len(classes) > 5 else ''}, or its number below {len(classes)}"
