"""The ``name=value`` values of a repeatable option."""

from __future__ import annotations

import math
from contextlib import suppress

from catwalk.errors import ConfigError


def pairs(flag: str, texts: list[str], example: str = "name=value") -> dict[str, str]:
    """Name → value.

    Args:
        flag: The option, for error messages.
        texts: The values as typed.
        example: An example of a value, for error messages.

    Raises:
        ConfigError: A value has another form, or a name appears twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not (name and value):
            raise ConfigError(f"{flag}: expected {example}; got {text!r:.60}")
        if name in found:
            raise ConfigError(f"{flag}: expected each name once; got {name} twice")
        found[name] = value
    return found


def numbers(flag: str, texts: list[str], example: str) -> dict[str, float]:
    """Name → a finite number; arguments and errors are those of :func:`pairs`."""
    return {
        name: _number(value, f"{flag}: expected {example}; got {f'{name}={value}'!r:.60}")
        for name, value in pairs(flag, texts, example).items()
    }


def _number(text: str, complaint: str) -> float:
    with suppress(ValueError):
        if math.isfinite(found := float(text)):
            return found
    raise ConfigError(complaint)


THRESHOLD = "name=number, such as runs_blocked=5"
"""The form of a `--threshold`."""
