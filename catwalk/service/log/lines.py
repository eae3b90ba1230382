"""What a segment of the log consists of: lines of JSON, the first of which says what the others belong to.

A line is written as a whole or, if its process was killed, in part. Readers skip incomplete lines.
"""

from __future__ import annotations

import json
import math
import operator
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, SupportsIndex
from uuid import UUID

Id = str | SupportsIndex | UUID
"""The id of a prediction: text, a whole number of any type, or a UUID."""
SCHEMA = 1
LONGEST_ID = 200
"""Characters."""


@dataclass(frozen=True)
class Header:
    """The first line."""

    model: str
    day: str
    """The day in UTC on which the predictions were made or the labels came, such as ``2026-11-27``."""
    version: str = ""
    """The version that has answered; empty if the segment holds labels."""
    kind: str = ""
    """The kind of problem, as in the reference."""
    classes: list[str] = field(default_factory=list)
    segment: str = field(default_factory=lambda: secrets.token_hex(8))
    """Its name: no two segments are equal."""
    schema: int = SCHEMA


@dataclass
class Tally:
    """Outcomes of the predictions of a segment's time, so far."""

    logged: int = 0
    sampled_out: int = 0
    dropped: int = 0
    """Never written, or too late."""

    @property
    def served(self) -> int:
        """The sum of them."""
        return self.logged + self.sampled_out + self.dropped


@dataclass(frozen=True)
class Answer:
    """One prediction, as the log keeps it."""

    id: str
    time: float
    """Unix time at which it was made."""
    value: str | float | None
    """The predicted class, the score or the value; None if it could not be read."""
    confidence: float | None = None
    """The highest probability of a class; None if the model gave none."""


@dataclass(frozen=True)
class Label:
    """What turned out to be true of one prediction."""

    id: str
    value: str
    """As it was given: a class, or a number."""
    time: float
    """Unix time from which it holds; if an id has two labels, the later one counts."""
    received: float
    """Unix time."""


def encoded(values: object) -> bytes:
    """Returns one line."""
    return (json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode(
        "utf-8", "replace"
    )


def header(made: Header) -> bytes:
    """Returns the first line of a segment."""
    return encoded(asdict(made))


def answer(given: Answer, tally: Tally) -> bytes:
    """Returns the line of a prediction, with the tally that includes it."""
    value = given.value if not isinstance(given.value, float) or math.isfinite(given.value) else None
    values: dict[str, Any] = {"id": given.id, "time": round(given.time, 3), "answer": value}
    if given.confidence is not None and math.isfinite(given.confidence):
        values["confidence"] = round(given.confidence, 6)
    return encoded({**values, "tally": [tally.logged, tally.sampled_out, tally.dropped]})


def tally(now: Tally) -> bytes:
    """Returns a line for predictions that have none of their own."""
    return encoded({"tally": [now.logged, now.sampled_out, now.dropped]})


def label(given: Label) -> bytes:
    """Returns the line of a label."""
    return encoded(
        {"id": given.id, "label": given.value, "time": round(given.time, 3), "received": round(given.received, 3)}
    )


def whole(body: bytes) -> bytes:
    """Returns a segment without the incomplete line that a kill may have left at its end."""
    return body[: body.rfind(b"\n") + 1]


def decoded(body: bytes) -> Iterator[dict[str, Any] | None]:
    """Yields the values of each line, or None for a damaged one."""
    for line in filter(None, body.split(b"\n")):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        yield values if isinstance(values, dict) else None


def digits(given: Any) -> str:
    """Returns a whole number of any type as text; empty if it is another value, or a truth value."""
    try:
        return "" if isinstance(given, bool) else str(operator.index(given))
    except (TypeError, ValueError):  # ValueError: it has more digits than Python writes
        return ""


def id_text(given: Any) -> str:
    """Returns an id as the log stores it; empty if it can't be one."""
    found = str(given) if isinstance(given, str | UUID) else digits(given)
    usable = found.isprintable() and found == found.strip() and len(found) <= LONGEST_ID
    return found if usable and found.encode("utf-8", "replace").decode() == found else ""
