"""Which servers are scraped: the basis of all other panels, and the difference between no event and no measurement."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.dashboard import DashboardRangeMapOptions, RangeMap, ValueMappingResult

from grafana.panels import ACT, FINE, About, query, thresholds, tile
from grafana.queries import not_scraped_seconds

SERVERS = ("exporter", "statsd_exporter", "courier", "alertmanager", "prometheus")
"""The Prometheus jobs of a complete stack."""
_NEVER_SECONDS = 1e9
"""Anything longer began before any stack: it is the time since 1970."""


def sources(*jobs: str, width: int = 24) -> stat.Panel:
    """A tile that shows whether each job is scraped or, in red, for how long it hasn't been."""
    about = About(
        "Sources",
        "Is each server scraped, and if not, for how long? The data of a server that isn't scraped is missing or old.",
        "Prometheus scrapes none of these servers.",
        "s",
        width,
        4,
        0,
    )
    meanings = [_range(0, 0, "scraped", FINE), _range(_NEVER_SECONDS, None, "never scraped", ACT)]
    target = query(not_scraped_seconds("|".join(jobs)), legend="{{job}}", now=True)
    return tile(about, target, named=True, mappings=meanings).thresholds(thresholds((None, ACT)))


def _range(least: float, most: float | None, text: str, color: str) -> RangeMap:
    return RangeMap(DashboardRangeMapOptions(least, most, ValueMappingResult(text=text, color=color)))
