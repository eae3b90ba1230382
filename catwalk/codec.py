"""Converts frozen dataclasses to JSON and back.

JSON has no NaN and no infinity: :func:`to_json` writes the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, and
:func:`from_json` turns them back into floats.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")


def to_json(record: object) -> bytes:
    """Returns a record as indented JSON that any parser accepts."""
    values = _plain(record)
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def from_json(kind: type[R], text: bytes) -> R:
    """Decodes what :func:`to_json` wrote; unknown fields of a newer version are ignored.

    If the record has a static method ``upgraded``, that receives the JSON values first, and returns them with the
    fields that an older version did not write.

    Raises:
        ValueError: The text is not a JSON object, lacks a field of the record, or has a field of another type.
    """
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"expected a JSON object for {kind.__name__}")
        return _decoder(kind)(values)  # type: ignore[arg-type, no-any-return]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


@contextmanager
def many_records() -> Iterator[None]:
    """Pauses Python's cycle collector while thousands of records are decoded: they have no cycles, and repeated passes
    over all of them take a third of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


_AS_THEY_ARE: dict[Any, set[type]] = {kind: {kind} for kind in (bool, float, int, str)}
"""Type → the type of the JSON values in a list or a dict, if they need no decoding: most have a single type."""


@cache
def _decoder(hint: Any) -> Callable[[Any], Any]:
    """Returns the function that turns plain JSON into a value of this type. It is built once per type, because
    inspecting types is slow.
    """
    if dataclasses.is_dataclass(hint):
        return _record_decoder(hint)
    origin, options = get_origin(hint), get_args(hint)
    if origin is dict:
        of_value, known = _decoder(options[1]), _AS_THEY_ARE.get(options[1])
        return lambda value: (
            value if set(map(type, value.values())) == known else {key: of_value(item) for key, item in value.items()}
        )
    if origin is list:
        of_item, kinds = _decoder(options[0]), _AS_THEY_ARE.get(options[0])
        return lambda value: (
            value if type(value) is list and set(map(type, value)) == kinds else [of_item(item) for item in value]
        )
    if type(None) in options:
        of_some = _decoder(next(option for option in options if option is not type(None)))
        return lambda value: None if value is None else of_some(value)
    if hint is float:
        return float
    if origin is Literal:
        return _exactly(str)  # a newer version may have values that this one doesn't know
    return (lambda value: value) if hint is Any else _exactly(hint)


def _exactly(kind: type) -> Callable[[Any], Any]:
    """Returns a decoder that accepts only values of this type: JSON itself guarantees nothing."""

    def checked(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r:.40} is not of type {kind.__name__}")
        return value

    return checked


def _unchanged(values: Any) -> Any:
    return values


def _record_decoder(kind: Any) -> Callable[[dict[str, Any]], Any]:
    hints = get_type_hints(kind)
    decoders = {name: _decoder(hint) for name, hint in hints.items()}
    upgraded = getattr(kind, "upgraded", _unchanged)

    def decode(values: dict[str, Any]) -> Any:
        return kind(
            **{
                name: item if type(item) is hints[name] else decoders[name](item)
                for name, item in upgraded(values).items()
                if name in decoders
            }
        )

    return decode
