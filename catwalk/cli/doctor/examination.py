"""The list of checks, and running them."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

from catwalk.cli.doctor import airflow, data, monitoring, transport
from catwalk.cli.doctor.check import Check, Unwell
from catwalk.environment.parts import part_url
from catwalk.errors import CatwalkError

CHECKS: Mapping[str, Callable[[], str]] = {
    "dataset": data.dataset,
    "disk": data.disk,
    "store": data.store,
    "conditional writes": data.conditional_writes,
    "statsd": transport.statsd,
    "canary": transport.canary,
    "statsd losses": transport.statsd_losses,
    "exporter": transport.exporter,
    "prometheus": monitoring.prometheus,
    "targets": monitoring.targets,
    "alertmanager": monitoring.alertmanager,
    "owners": monitoring.owners,
    "courier": monitoring.courier,
    "grafana": monitoring.grafana,
    "airflow": airflow.airflow,
    "airflow metrics": airflow.airflow_metrics,
    "dag": airflow.dag,
}
"""In the order in which data flows."""
_PROFILES = {
    "prometheus": ("monitoring", "prometheus"),
    "targets": ("monitoring", "prometheus"),
    "alertmanager": ("monitoring", "alertmanager"),
    "owners": ("monitoring", "alertmanager"),
    "grafana": ("grafana", "grafana"),
}
"""Check → the profile of docker-compose.yaml that its part belongs to, and the part's name."""


def examine() -> Iterator[Check]:
    """Runs the checks in the order in which data flows; yields each as soon as it is done."""
    return (_look(part, check) for part, check in CHECKS.items())


def _look(part: str, check: Callable[[], str]) -> Check:
    try:
        _look_for_own(part)
        return Check(part, "OK", check())
    except Unwell as found:
        return Check(part, found.verdict, found.finding, found.remedy)
    except CatwalkError as error:
        finding, _, remedy = str(error).partition("; ")
        return Check(part, "FAIL", finding, remedy)
    except Exception as error:  # an unforeseen answer is a finding too; the other parts are still checked
        finding = f"gave an unexpected answer ({type(error).__name__}: {' '.join(str(error).split())})"
        return Check(part, "FAIL", finding, "is something else listening at that address?")


def _look_for_own(check: str) -> None:
    """Raises if the part is left out here: in containers, `CATWALK_PROFILES` lists the parts that run. It may be
    elsewhere.
    """
    profiles = os.environ.get("CATWALK_PROFILES")
    profile, part = _PROFILES.get(check, ("", ""))
    if profiles is None or not part or profile in profiles.split(","):
        return
    if urllib.parse.urlsplit(part_url(part)).hostname == part:
        raise Unwell(
            "left out by COMPOSE_PROFILES",
            f"if you have your own, set CATWALK_{part.upper()}_INTERNAL_URL in .env to its URL",
            "WARN",
        )
