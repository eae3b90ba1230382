"""Values from environment variables. Unset and empty mean the default; what makes no sense is refused in one line."""

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
    """A duration.

    Args:
        variable: its name.
        default: where it is unset or empty.
        zero: whether 0 is one too.
        most: the longest; infinity is none.
        environment: where to look.

    Raises:
        ConfigError: it is no such number.
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
    """A whole number within bounds, which belong to it.

    Raises:
        ConfigError: it is none.
    """
    text = environment.get(variable, "").strip() or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ConfigError(f"{variable} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)
