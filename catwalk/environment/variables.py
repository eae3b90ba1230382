"""Values from environment variables. Unset and empty mean the default; an invalid value is an error in one line."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from catwalk.errors import ConfigError


def seconds(
    variable: str,
    default: float,
    *,
    zero: bool = False,
    most: float = math.inf,
    environment: Mapping[str, str] = os.environ,
) -> float:
    """A duration in seconds.

    Args:
        variable: The variable's name.
        default: The value if it is unset or empty.
        zero: Whether 0 is allowed.
        most: The longest duration; infinity is not allowed.
        environment: The environment variables.

    Raises:
        ConfigError: It is not such a number.
    """
    text = environment.get(variable, "").strip() or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value <= most or (zero and value == 0)) or math.isinf(value):
        bounds = ("from 0" if zero else "above 0") + (f" to {most:.0f}" if most < math.inf else "")
        raise ConfigError(f"{variable} must be a number of seconds {bounds}, not {text!r}")
    return value


def whole(variable: str, default: int, least: int, most: int, *, environment: Mapping[str, str] = os.environ) -> int:
    """An integer within inclusive bounds.

    Raises:
        ConfigError: It is not such an integer.
    """
    text = environment.get(variable, "").strip() or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ConfigError(f"{variable} must be an integer from {least} to {most}, not {text!r}")
    return int(text)


def switch(variable: str, default: bool, *, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable says ``on`` or ``off``.

    Raises:
        ConfigError: It says something else.
    """
    text = environment.get(variable, "").strip()
    if text not in ("", "on", "off"):
        raise ConfigError(f"{variable} must be on or off, not {text!r}")
    return text == "on" if text else default
