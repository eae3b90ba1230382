"""How Airflow's components and DAGs are; asked in the background, so that nobody waits."""

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
"""Between two looks at the DAGs: they cost Airflow a sign-in check and a query, and change seldom."""
DagRun = tuple[str, str]
"""Id of a DAG, id of one of its runs."""


@dataclass(frozen=True)
class DagSchedule:
    """By which a DAG runs."""

    text: str
    """Five fields of cron, or what else Airflow calls its timetable."""
    since: float
    """Unix time at which Airflow was first heard to say so."""


_TIMEOUT = 5.0
_LARGEST_ANSWER = 1_000_000


def ask(url: str) -> dict[str, bool]:
    """Component → healthy, from Airflow's health page (needs no credentials).

    The API server is healthy if it answers. If it doesn't, nothing is known of the others, so they are left out.
    """
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/api/v2/monitor/health")
        parts = json.loads(fetch_part(request, _TIMEOUT, _LARGEST_ANSWER))
        health = {name: parts[name]["status"] == "healthy" for name in COMPONENTS if parts.get(name)}
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return {API_SERVER: False}
    return {API_SERVER: True, **health}


class AirflowHealth:
    """The last answers of an Airflow that is asked again and again."""

    def __init__(self, url: str, seconds: float) -> None:
        """
        Args:
            url: of Airflow's API server; empty where there is none.
            seconds: between two questions.
        """
        self.components: dict[str, bool] = {}
        """Empty until the first answer, and where no Airflow is configured."""
        self.paused: dict[str, bool] = {}
        """DAG → paused, as Airflow said last. Empty without a password."""
        self.failures: dict[DagRun, float] = {}
        """The last run of a DAG that has ended → when (Unix time), if it failed; as Airflow said last."""
        self.schedules: dict[str, DagSchedule] = {}
        """DAG → its schedule, as Airflow said last. Empty without a password."""
        self.asked = not url
        """The first answers are there, or none are to be had."""
        self._url, self._seconds = url.rstrip("/"), seconds
        self._api: AirflowApi | None = None
        self._dags_due = 0.0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Asks in a daemon thread from now on."""
        if self._url:
            threading.Thread(target=self._poll, name="airflow-health", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread before its next question."""
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
        """Where Airflow doesn't say, what it said before stays: silence is no news."""
        self._api = self._api or AirflowApi.at(self._url)
        if self._api is None:
            return
        try:
            dags = self._api.dags()
            self.failures = {run: at for name in dags for run, at in failure(self._api, name).items()}
            self.paused = {name: bool(dag["is_paused"]) for name, dag in dags.items()}
            self.schedules = {name: self._schedule(name, str(dag["timetable_summary"])) for name, dag in dags.items()}
        except (AirflowError, HTTPException, KeyError, TypeError, ValueError, AttributeError):
            self._api = None  # its token may have run out: the next look signs in anew

    def _schedule(self, dag_id: str, text: str) -> DagSchedule:
        known = self.schedules.get(dag_id)
        return known if known and known.text == text else DagSchedule(text, time.time())


def failure(api: AirflowApi, dag_id: str) -> dict[DagRun, float]:
    """The last run of a DAG that has ended, with its end, if it failed.

    Raises:
        AirflowError: Airflow does not say.
    """
    path = f"dags/{quote(dag_id, safe='')}/dagRuns?state=failed&state=success&order_by=-end_date&limit=1"
    return {
        (dag_id, str(run["dag_run_id"])): datetime.fromisoformat(run["end_date"]).timestamp()
        for run in api.request("GET", path)["dag_runs"]
        if run["state"] == "failed"
    }
