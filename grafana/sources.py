"""Which servers are scraped: the basis of all other panels, and the difference between no event and no measurement."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.models.common import BigValueJustifyMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import DashboardRangeMapOptions, RangeMap, ValueMappingResult

from grafana.panels import ACT, FINE, About, query, thresholds, tile
from grafana.queries import not_scraped_seconds

SERVERS = ("exporter", "statsd_exporter", "courier", "alertmanager", "prometheus")
"""The Prometheus jobs of a complete stack."""
_FEW = 2
"""As many fit side by side on a phone; more are one below the other."""
_NEVER_SECONDS = 1e9
"""Anything longer began before any stack: it is the time since 1970."""


def sources(*jobs: str, width: int = 24, height: int = 0) -> stat.Panel:
    """A tile that shows whether each job is scraped or, in red, for how long it hasn't been."""
    few = len(jobs) <= _FEW
    about = About(
        "Sources",
        "Is each server scraped, and if not, for how long? The data of a server that isn't scraped is missing or old.",
        "Prometheus scrapes none of these servers.",
        "s",
        width,
        height or (4 if few else 6),
        0,
    )
    meanings = [_range(0, 0, "scraped", FINE), _range(_NEVER_SECONDS, None, "never scraped", ACT)]
    target = query(not_scraped_seconds("|".join(jobs)), legend="{{job}}", now=True)
    panel = tile(about, target, named=True, mappings=meanings).thresholds(thresholds((None, ACT)))
    if not few:
        panel.orientation(VizOrientation.HORIZONTAL).justify_mode(BigValueJustifyMode.AUTO)  # names left, values right
        panel.text(common.VizTextDisplayOptions().title_size(14).value_size(14))
    return panel


def _range(least: float, most: float | None, text: str, color: str) -> RangeMap:
    return RangeMap(DashboardRangeMapOptions(least, most, ValueMappingResult(text=text, color=color)))
