"""Default addresses of the parts of a native stack."""

from __future__ import annotations

HOST = "127.0.0.1"
"""The host that everything binds to: no other machine should reach these servers."""

PORTS = {
    "airflow": 8080,
    "s3": 7070,
    "statsd": 9125,
    "statsd_exporter": 9102,
    "prometheus": 9090,
    "alertmanager": 9093,
    "exporter": 9180,
    "courier": 9181,
    "serve": 9182,
    "serve_metrics": 9183,
    "grafana": 3000,
}
"""Default ports; ``CATWALK_PORT_<NAME>`` changes one. `statsd` uses UDP and TCP."""


def port_variable(name: str) -> str:
    """The environment variable that changes a port."""
    return f"CATWALK_PORT_{name.upper()}"
