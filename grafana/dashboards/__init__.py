"""One module a dashboard; each begins with its queries and ends with `DASHBOARD`, its JSON as a dictionary."""

from __future__ import annotations

from typing import Any

from grafana.dashboards import fleet, home, model, pipeline, run, runs, service, telemetry

DASHBOARDS: tuple[dict[str, Any], ...] = tuple(
    module.DASHBOARD for module in (home, fleet, runs, run, model, service, pipeline, telemetry)
)
"""In the order in which people need them."""
