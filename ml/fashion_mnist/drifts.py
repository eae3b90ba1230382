"""The schedule of a feed's changes: from which day, how, and how much.

Imports nothing heavy, because DAG files import it each time Airflow parses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, cast, get_args

from catwalk.errors import ConfigError
from catwalk.knobs import Bounds, require

Kind = Literal["none", "brightness", "rotation", "class-mix", "label-noise"]
FAVOURED = 6
"""The class, shirt, that becomes more common in a class mix: models recognise it worst."""
_STRENGTHS: dict[Kind, tuple[float, Bounds]] = {
    "none": (0.0, Bounds(0, 0)),
    "brightness": (0.6, Bounds(0.05, 3)),
    "rotation": (15.0, Bounds(-180, 180)),
    "class-mix": (4.0, Bounds(1, 100)),
    "label-noise": (0.1, Bounds(0, 1)),
}
"""The default strength of each kind, and its valid range: a factor for each pixel, degrees counter-clockwise, how many
times as common the favoured class becomes, the share of wrong labels.
"""
_SHAPE = f"DAY KIND [STRENGTH], …, such as '2026-12-01 rotation 15'; kinds are {', '.join(get_args(Kind))}"


@dataclass(frozen=True)
class Drift:
    """A change of the examples that arrive from a day on, until the next change in the schedule."""

    day: date
    kind: Kind
    strength: float


def schedule(text: str) -> tuple[Drift, ...]:
    """Reads a schedule such as ``2026-12-01 rotation 15, 2027-01-01 none``.

    Raises:
        ConfigError: it is not a schedule, or its days don't ascend.
    """
    found = tuple(_drift(part.split()) for part in text.split(",")) if text.strip() else ()
    days = [drift.day for drift in found]
    require(days == sorted(set(days)), "drifts", text, "a schedule whose days ascend")
    return found


def _drift(words: list[str]) -> Drift:
    given = " ".join(words)
    require(len(words) in (2, 3) and words[1] in _STRENGTHS, "drifts", given, _SHAPE)
    kind = cast("Kind", words[1])
    default, bounds = _STRENGTHS[kind]
    strength = _number(words[2], given) if len(words) > 2 else default
    bounds.check(f"drifts: the strength of {kind}", strength)
    return Drift(day("drifts", words[0]), kind, strength)


def _number(text: str, given: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"drifts must be {_SHAPE}, not {given!r:.100}") from None


def day(knob: str, text: str) -> date:
    """Returns a day in ISO 8601 format.

    Raises:
        ConfigError: it is not a day; the message names the knob.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{knob} must be a day such as 2026-11-25, not {text!r:.100}") from None
