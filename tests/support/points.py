"""The points of a run: those that its ledger has, and those that a Prometheus holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from catwalk.telemetry.points import Point

Points = dict[frozenset[tuple[str, str]], str]
"""Name and labels of a series → its value."""


class Prometheus(Protocol):
    """Answers instant queries."""

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]: ...


def of_ledger(points: list[Point]) -> Points:
    """Those of a ledger."""
    return {_series(point.metric.name, point.labels): _text(point.value) for point in points}


def of_prometheus(prometheus: Prometheus, run_id: str) -> Points:
    """The last values of everything that Prometheus holds of what a run sends by StatsD."""
    found = prometheus.query(f'last_over_time({{__name__=~"ml_.+", run_id="{run_id}"}}[1d])')
    return {_series(labels.pop("__name__"), labels): _text(value) for labels, value in found}


def _series(name: str, labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    own = {key: value for key, value in labels.items() if value and key not in ("job", "instance")}
    return frozenset({"__name__": name, **own}.items())  # to Prometheus, an empty label is none


def _text(value: float) -> str:
    return repr(float(value) + 0.0)  # the sum turns -0.0 into 0.0, which is how it travels
