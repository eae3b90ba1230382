"""The health of Airflow's components and DAGs, polled in the background so that readers never wait."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from urllib.parse import quote

from catwalk.clients.airflow_api import AirflowApi, AirflowError
from catwalk.environment.proxies import fetch_part

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
API_SERVER = "api_server"
DAGS_SECONDS = 30.0
"""Minimum seconds between two polls of the DAGs: they cost Airflow an authentication and a query, and change seldom."""
DagRun = tuple[str, str]
"""Id of a DAG, id of one of its runs."""


@dataclass(frozen=True)
class DagSchedule:
    """A DAG's schedule."""

    text: str
    """Five cron fields, or Airflow's description of another timetable."""
    since: float
    """Unix time at which Airflow was first seen to report it."""


_TIMEOUT = 5.0
_LARGEST_ANSWER = 1_000_000


def ask(url: str) -> dict[str, bool]:
    """Component → healthy, from Airflow's health page, which needs no credentials.

    The API server is healthy if it answers. If it doesn't, the state of the others is unknown, so they are left out.
    """
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/api/v2/monitor/health")
        parts = json.loads(fetch_part(request, _TIMEOUT, _LARGEST_ANSWER))
        health = {name: parts[name]["status"] == "healthy" for name in COMPONENTS if parts.get(name)}
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return {API_SERVER: False}
    return {API_SERVER: True, **health}


class AirflowHealth:
    """The latest responses of an Airflow that is polled repeatedly."""

    def __init__(self, url: str, seconds: float) -> None:
        """
        Args:
            url: The URL of Airflow's API server; empty if there is none.
            seconds: Seconds between two polls.
        """
        self.components: dict[str, bool] = {}
        """Component → healthy; empty until the first response, and if no Airflow is configured."""
        self.paused: dict[str, bool] = {}
        """DAG → paused, from Airflow's latest response. Empty without a password."""
        self.failures: dict[DagRun, float] = {}
        """The last ended run of a DAG → its end (Unix time), if it failed; from Airflow's latest response."""
        self.schedules: dict[str, DagSchedule] = {}
        """DAG → its schedule, from Airflow's latest response. Empty without a password."""
        self.asked = not url
        """Set once the first responses have arrived, or can't be expected."""
        self._url, self._seconds = url.rstrip("/"), seconds
        self._api: AirflowApi | None = None
        self._dags_due = 0.0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Starts polling in a daemon thread."""
        if self._url:
            threading.Thread(target=self._poll, name="airflow-health", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread before its next poll."""
        self._stopped.set()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self.components = ask(self._url)
            if self.components[API_SERVER] and time.monotonic() >= self._dags_due:
                self._dags_due = time.monotonic() + DAGS_SECONDS
                self._ask_dags()
            self.asked = True
            self._stopped.wait(self._seconds)

    def _ask_dags(self) -> None:
        """Polls the DAGs; without a response, the previous values stay."""
        self._api = self._api or AirflowApi.at(self._url)
        if self._api is None:
            return
        try:
            dags = self._api.dags()
            self.failures = {run: at for name in dags for run, at in failure(self._api, name).items()}
            self.paused = {name: bool(dag["is_paused"]) for name, dag in dags.items()}
            self.schedules = {name: self._schedule(name, str(dag["timetable_summary"])) for name, dag in dags.items()}
        except (AirflowError, HTTPException, KeyError, TypeError, ValueError, AttributeError):
            self._api = None  # its token may have expired: the next poll logs in again

    def _schedule(self, dag_id: str, text: str) -> DagSchedule:
        known = self.schedules.get(dag_id)
        return known if known and known.text == text else DagSchedule(text, time.time())


def failure(api: AirflowApi, dag_id: str) -> dict[DagRun, float]:
    """The last ended run of a DAG with its end, if it failed.

    Raises:
        AirflowError: Airflow doesn't answer.
    """
    path = f"dags/{quote(dag_id, safe='')}/dagRuns?state=failed&state=success&order_by=-end_date&limit=1"
    return {
        (dag_id, str(run["dag_run_id"])): datetime.fromisoformat(run["end_date"]).timestamp()
        for run in api.request("GET", path)["dag_runs"]
        if run["state"] == "failed"
    }
