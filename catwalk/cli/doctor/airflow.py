"""Airflow: its components, its metrics, our DAGs."""

from __future__ import annotations

import time

from catwalk.cli.doctor.asking import ask_json, sample
from catwalk.cli.doctor.check import Unwell
from catwalk.clients import airflow_health
from catwalk.clients.airflow_api import TAG, AirflowApi
from catwalk.environment.parts import part_url, start_command

HEARTBEAT_WAIT = 15.0
"""Seconds; each component of Airflow sends a heartbeat every 5."""

HEARTBEATS = ("scheduler", "dag_processor", "triggerer")


def airflow() -> str:
    url = part_url("airflow")
    ask_json(f"{url}/api/v2/monitor/health")
    unwell = [name for name, healthy in airflow_health.ask(url).items() if not healthy]
    if unwell:
        raise Unwell(
            f"Airflow at {url} has unhealthy parts: {', '.join(unwell)}",
            f"see their logs; restart them ({start_command()})",
        )
    return f"{url}: every component is healthy"


def airflow_metrics() -> str:
    """Checks that Airflow's metrics arrive: its client doesn't notice when nothing listens at the address."""
    statsd, health = part_url("statsd_exporter"), airflow_health.ask(part_url("airflow"))
    unheard = {name for name in HEARTBEATS if health.get(name)}
    if not unheard:
        return "no component of Airflow that sends heartbeats is healthy"
    before = {name: _heartbeats(statsd, name) for name in unheard}
    deadline = time.monotonic() + HEARTBEAT_WAIT
    while unheard and time.monotonic() < deadline:
        time.sleep(0.5)
        unheard = {name for name in unheard if _heartbeats(statsd, name) == before[name]}
    if unheard:
        raise Unwell(
            f"heartbeats of Airflow's {', '.join(sorted(unheard))} don't arrive at statsd_exporter: its metrics are "
            "lost",
            "restart them; see the runbook of AirflowMetricsMissing",
            "WARN",
        )
    return f"heartbeats of {', '.join(sorted(before))} arrive at statsd_exporter"


def _heartbeats(statsd: str, component: str) -> float:
    return sample(statsd, f"airflow_{component}_heartbeat_total")


def dag() -> str:
    airflow = AirflowApi.at(part_url("airflow"))
    if airflow is None:
        raise Unwell(
            "not checked: no credentials for Airflow",
            "set CATWALK_AIRFLOW_PASSWORD, and CATWALK_AIRFLOW_USER if that isn't admin",
            "WARN",
        )
    errors = airflow.request("GET", "importErrors")["import_errors"]
    if errors:
        reason = errors[0]["stack_trace"].strip().splitlines()[-1]
        raise Unwell(
            f"can't import {errors[0]['filename']}: {reason}", "correct the file; Airflow reads it again by itself"
        )
    dags = airflow.dags()
    if not dags:
        raise Unwell(f"Airflow has no DAG tagged {TAG}", "is dags/ its DAG folder? A new file takes half a minute")
    paused = [name for name, found in sorted(dags.items()) if found["is_paused"]]
    if paused:
        remedy = "; ".join(f"airflow dags unpause {name}" for name in paused)
        raise Unwell(f"{', '.join(paused)} paused: no runs are scheduled", remedy, "WARN")
    return "; ".join(
        f"{name} is scheduled ({found.get('timetable_description') or 'no schedule'})"
        for name, found in sorted(dags.items())
    )
