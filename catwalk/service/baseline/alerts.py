"""The alerts of a model that say that its service was not well, by day, as Prometheus has recorded them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catwalk.clients import prometheus
from catwalk.service.baseline.recorded import DAY, day_before, midnight_before, midnight_from, of_model

NAMES = ("ServiceInputDrifted", "ServicePredictionsShifted", "ServiceAccuracyLow")
"""Inputs, answers or their quality were not as usual. Alerts on errors, latency and memory say nothing about the
predictions that are counted. An alert of another name counts if it requests a retraining."""


@dataclass(frozen=True)
class Firing:
    """When such alerts were firing, since a version is in service."""

    days: Mapping[str, set[str]]
    """Alert → days in UTC."""
    inherited: set[str]
    """The alerts that were firing already when the version came into service. They belong to the one before, and keep
    firing for a day."""

    def begin(self, since: float) -> int:
        """Returns the first midnight from a Unix time on at which no inherited alert has still to end."""
        found = midnight_from(since)
        while any(day_before(found + DAY) in self.days.get(alert, ()) for alert in self.inherited):
            found += DAY
        return found

    def among(self, days: Sequence[str]) -> dict[str, list[str]]:
        """Returns alert → the days, of these, on which it was firing."""
        found = {alert: [day for day in days if day in of_alert] for alert, of_alert in sorted(self.days.items())}
        return {alert: of_alert for alert, of_alert in found.items() if of_alert}


def firing(names: Sequence[str], version: str, since: float, now: float) -> Firing:
    """Returns the alerts of a version in service.

    Args:
        names: All names of the model.
        version: The version. Alerts about another version don't count.
        since: The Unix time from which it is in service.
        now: Unix time.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    matchers = f'alertstate="firing", {of_model(names)}, version=~{json.dumps(f"|{version}")}'
    alerts = [f'ALERTS{{{matchers}, alertname=~"{"|".join(NAMES)}"}}', f'ALERTS{{{matchers}, retrain="yes"}}']
    by_day = " or ".join(f"count by (alertname) (present_over_time({each}[1d]))" for each in alerts)
    at_once = " or ".join(f"count by (alertname) ({each})" for each in alerts)
    found = prometheus.over(by_day, midnight_from(since) + DAY, midnight_before(now), DAY)
    return Firing(
        {_name(one): set(map(day_before, one.samples)) for one in found},
        {_name(one) for one in prometheus.over(at_once, since, since, DAY)},
    )


def _name(one: prometheus.Series) -> str:
    return one.labels.get("alertname", "")
