"""``name=value`` texts of an option that may be given several times."""

from __future__ import annotations

import math
from contextlib import suppress

from catwalk.errors import ConfigError


def pairs(flag: str, texts: list[str], example: str = "name=value") -> dict[str, str]:
    """Name → value.

    Args:
        flag: what the texts are given to, for complaints.
        texts: as they were typed.
        example: what one of them should look like, for complaints.

    Raises:
        ConfigError: one is no such text, or a name comes twice.
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
    """Name → a finite number; arguments and errors as of :func:`pairs`."""
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
"""What `--threshold` takes."""
