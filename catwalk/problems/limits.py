"""A model's limits in words: what it must reach, and when alerts fire, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catwalk.environment.schedule import span_text
from catwalk.problems.interface import Problem


@dataclass(frozen=True)
class Limit:
    """One limit, of the decision or of an alert."""

    name: str
    """Its name in words."""
    value: str
    """Its value with the unit."""
    reason: str
    """Its reason; empty if none was given."""


def limits(problem: Problem, thresholds: Mapping[str, Any], reasons: Mapping[str, str]) -> Iterator[Limit]:
    """Yields the limits that a run was given, without defaults.

    Args:
        problem: The model's kind of problem.
        thresholds: The thresholds, as in run.json.
        reasons: The reasons by the same names.
    """
    known = {metric.name: metric for metric in problem.metrics}
    for name, value in thresholds.get("floors", {}).items():
        metric = known.get(name)
        bound = "at least" if metric and metric.goal == "maximize" else "at most"
        shown = f"{metric.title}, {bound}" if metric else name
        yield Limit(shown, metric.text(value) if metric else f"{value:g}", reasons.get(name, ""))
    for name in ("margin", "significance", "slice_significance"):
        if name in thresholds:
            value = thresholds[name]
            shown = problem.metrics[0].change(value).removeprefix("+") if name == "margin" else f"{value:g}"
            yield Limit(name.replace("_", " "), shown, reasons.get(name, ""))
    for name, value in thresholds.get("limits", {}).items():
        seconds = name.endswith("_seconds")
        shown = span_text(value) if seconds else f"{value:g}"
        yield Limit(f"alerts, {name.removesuffix('_seconds').replace('_', ' ')}", shown, reasons.get(name, ""))
