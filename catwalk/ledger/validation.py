"""Validation of decoded records, for whoever hands their values on: words that this version knows, text that UTF-8 has.

:mod:`catwalk.codec` is lenient there, so that a record of a newer version can still be read.
"""

from __future__ import annotations

import dataclasses
import re
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Valid in JSON, but in no UTF-8: it would break the page that shows it."""


def fault(record: object) -> str:
    """The first field of a dataclass whose value is not valid by its annotation, as a sentence; empty: none."""
    kind: type = type(record)
    for name, hint in _hints(kind).items():
        if not _fits(getattr(record, name), hint):
            return f"{name} has a value of the wrong type"
    return ""


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return not isinstance(value, str) or _fits(value, str)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, str) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if dataclasses.is_dataclass(hint):
        return isinstance(value, hint) and not fault(value)  # type: ignore[arg-type]
    if hint is str:
        return isinstance(value, str) and not _LONE_SURROGATE.search(value)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
