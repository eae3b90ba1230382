"""The schedule by which what the feed brings changes: from which day on, how, and how much.

Imports nothing heavy, since DAG files read it each time Airflow parses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, cast, get_args

from catwalk.errors import ConfigError
from catwalk.knobs import Bounds, require

Kind = Literal["none", "brightness", "rotation", "class-mix", "label-noise"]
FAVOURED = 6
"""The class, shirt, that a class mix brings more of: models tell it apart worst."""
_STRENGTHS: dict[Kind, tuple[float, Bounds]] = {
    "none": (0.0, Bounds(0, 0)),
    "brightness": (0.6, Bounds(0.05, 3)),
    "rotation": (15.0, Bounds(-180, 180)),
    "class-mix": (4.0, Bounds(1, 100)),
    "label-noise": (0.1, Bounds(0, 1)),
}
"""Kind → the strength where none is given, and those that make sense: a factor of each pixel, degrees
counter-clockwise, how many times as common the favoured class becomes, the share of labels that are wrong."""
_SHAPE = f"DAY KIND [STRENGTH], …, such as '2026-12-01 rotation 15'; kinds are {', '.join(get_args(Kind))}"


@dataclass(frozen=True)
class Drift:
    """What changes about the examples that arrive from a day on, until the next one of the schedule."""

    day: date
    kind: Kind
    strength: float


def schedule(text: str) -> tuple[Drift, ...]:
    """Reads a schedule such as ``2026-12-01 rotation 15, 2027-01-01 none``.

    Raises:
        ConfigError: it is none, or its days don't ascend.
    """
    found = tuple(_drift(part.split()) for part in text.split(",")) if text.strip() else ()
    days = [drift.day for drift in found]
    require(days == sorted(set(days)), "drifts", text, "a schedule whose days ascend")
    return found


def _drift(words: list[str]) -> Drift:
    told = " ".join(words)
    require(len(words) in (2, 3) and words[1] in _STRENGTHS, "drifts", told, _SHAPE)
    kind = cast("Kind", words[1])
    default, bounds = _STRENGTHS[kind]
    strength = _number(words[2], told) if len(words) > 2 else default
    bounds.check(f"drifts: the strength of {kind}", strength)
    return Drift(day("drifts", words[0]), kind, strength)


def _number(text: str, told: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"drifts must be {_SHAPE}, not {told!r:.100}") from None


def day(knob: str, text: str) -> date:
    """A day of ISO 8601.

    Raises:
        ConfigError: it is none; the message names the knob.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{knob} must be a day such as 2026-11-25, not {text!r:.100}") from None
