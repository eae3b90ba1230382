"""Validation of decoded records, for code that passes their values on: known terms, and text that is valid in UTF-8.

:mod:`catwalk.codec` is more lenient, so that a record of a newer version can still be read.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Surrogates, which are valid in JSON but not in UTF-8: they would break the page that shows them."""
Check = Callable[[Any], bool]
"""Whether a value fits a type."""


def fault(record: object) -> str:
    """The first field of a dataclass whose value doesn't fit its annotation, as a sentence; empty if all fit."""
    kind: type = type(record)
    for name, fits in _fields(kind):
        if not fits(getattr(record, name)):
            return f"{name} has a value of the wrong type"
    return ""


@cache
def _fields(kind: type) -> list[tuple[str, Check]]:
    """Name and check of each field; built once per type, because inspecting types is slow."""
    return [(name, _check(hint)) for name, hint in get_type_hints(kind).items()]


@cache
def _check(hint: Any) -> Check:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: not isinstance(value, str) or _is_text(value)
    if origin is Literal:
        return lambda value: value in arguments
    if origin in (Union, types.UnionType):
        every = [_check(option) for option in arguments]
        if len(every) == 2 and arguments[1] is type(None):  # nearly all: any() costs a multiple of the check
            return lambda value: value is None or every[0](value)
        return lambda value: any(fits(value) for fits in every)
    if origin is list:
        of_item = _check(arguments[0])
        return lambda value: isinstance(value, list) and all(map(of_item, value))
    if origin is dict:
        of_value = _check(arguments[1])
        return lambda value: (
            isinstance(value, dict) and all(map(_is_text, value)) and all(map(of_value, value.values()))
        )
    if dataclasses.is_dataclass(hint):
        kind: Any = hint
        return lambda value: isinstance(value, kind) and not fault(value)
    if hint is str:
        return _is_text
    return lambda value: isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not _LONE_SURROGATE.search(value))
