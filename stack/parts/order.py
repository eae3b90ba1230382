"""The parts of a native stack, in the order in which they start."""

from __future__ import annotations

from catwalk.clients import access
from stack.configuration import grafana
from stack.parts import servers, services
from stack.parts.part import Part
from stack.settings import Settings


def parts(settings: Settings) -> dict[str, Part]:
    """Returns every part by name, in start order."""
    every = [
        servers.s3(settings),
        servers.statsd_exporter(settings),
        servers.prometheus(settings),
        servers.alertmanager(settings),
        services.exporter(settings),
        services.courier(settings),
        *services.serve(settings),
        *services.airflow(settings),
        *servers.grafana_server(settings),
    ]
    return {part.name: part for part in every}


def logins(settings: Settings) -> list[str]:
    """Returns how a person logs in, one line per server."""
    return [
        f"passwords   in {settings.home / 'secrets.env'}:",
        f"            Prometheus and Alertmanager: user {access.USER}, {access.PASSWORD_VARIABLE}",
        "            Airflow: user admin, CATWALK_AIRFLOW_PASSWORD",
        *(["            Grafana: user admin, CATWALK_GRAFANA_PASSWORD"] if grafana.find() else []),
    ]
