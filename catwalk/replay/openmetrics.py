"""Points as an OpenMetrics exposition, each at its true time."""

from __future__ import annotations

import math
from collections.abc import Iterable

from catwalk.telemetry.points import Point
from catwalk.telemetry.wire.labels import label_values


def openmetrics(points: Iterable[Point], target: dict[str, str]) -> str:
    """Returns the exposition, for `promtool tsdb create-blocks-from openmetrics`.

    Args:
        points: The points of one run or several.
        target: The labels that the scrape would have added.
    """
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.metric.name, []).append(point)
    lines = []
    for name, members in families.items():
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {_escape(members[0].metric.help)}"]
        for point in sorted(members, key=lambda point: point.time):
            series = {**target, **label_values(point.labels)}
            labels = ",".join(f'{key}="{_escape(value)}"' for key, value in series.items())
            lines.append(f"{name}{{{labels}}} {_number(point.value)} {point.time:.3f}")
    return "\n".join([*lines, "# EOF", ""])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
