"""A model's limits in words: what it must reach, and from where on alerts fire, each with its reason."""

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
    """In words."""
    value: str
    """With its unit."""
    reason: str
    """Empty: nobody has said."""


def limits(problem: Problem, thresholds: Mapping[str, Any], reasons: Mapping[str, str]) -> Iterator[Limit]:
    """Those that a run was given; what it leaves to Catwalk has no line.

    Args:
        problem: what the model is asked.
        thresholds: as run.json has them.
        reasons: the same names → why.
    """
    known = {metric.name: metric for metric in problem.metrics}
    for name, value in thresholds.get("floors", {}).items():
        metric = known.get(name)
        bound = "at least" if metric and metric.goal == "maximize" else "at most"
        told = f"{metric.title}, {bound}" if metric else name
        yield Limit(told, metric.text(value) if metric else f"{value:g}", reasons.get(name, ""))
    for name in ("margin", "significance", "slice_significance"):
        if name in thresholds:
            value = thresholds[name]
            told = problem.metrics[0].change(value).removeprefix("+") if name == "margin" else f"{value:g}"
            yield Limit(name.replace("_", " "), told, reasons.get(name, ""))
    for name, value in thresholds.get("limits", {}).items():
        seconds = name.endswith("_seconds")
        told = span_text(value) if seconds else f"{value:g}"
        yield Limit(f"alerts, {name.removesuffix('_seconds').replace('_', ' ')}", told, reasons.get(name, ""))
