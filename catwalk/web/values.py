"""Formats values for pages; a dash for a missing value."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def moment(seconds: float | None, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """Returns a time in UTC, from seconds since the epoch."""
    if seconds is None:
        return "–"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return "–"


def due_text(due: float | None, now: float) -> str:
    """Returns when a run is due, in UTC, or since when it is overdue; empty if none is due."""
    if due is None:
        return ""
    return f"{'overdue since ' if due < now else ''}{moment(due, '%Y-%m-%d %H:%M UTC')}"


def duration(seconds: float | None) -> str:
    """Returns a readable duration."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {left:02} s"


def span(seconds: float) -> str:
    """Returns a rounded duration: ``12 s``, ``7 min``, ``3 h`` or ``5 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def percent(ratio: float | None) -> str:
    """Returns a ratio as a percentage."""
    return "–" if ratio is None else f"{ratio:.2%}"


def mebibytes(size: int | None) -> str:
    """Returns a readable size."""
    return "–" if size is None else f"{size / 2**20:,.0f} MiB"


def figure(value: float | None) -> str:
    """Returns a number with four decimals, such as a loss."""
    return "–" if value is None else f"{value:.4f}"


def plural(count: int, noun: str) -> str:
    """Returns a count and its noun: ``1 run``, ``2 runs``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
