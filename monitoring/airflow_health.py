"""Whether Airflow's components are healthy and its DAGs unpaused; asked in the background, so that nobody waits."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
API_SERVER = "api_server"
TAG = "catwalk"
"""Marks our DAGs among others of the same Airflow."""
DAGS_SECONDS = 30.0
"""Between two looks at the DAGs: they cost Airflow a sign-in check and a query, and change seldom."""
_TIMEOUT = 5.0
_LARGEST_ANSWER = 1_000_000

Fetch = Callable[[str, bytes | None, str], Any]
"""Decoded JSON of a URL, given a body to post and a token, both of which may be empty."""


def ask(url: str) -> dict[str, bool]:
    """Component → healthy, from Airflow's health page (needs no credentials).

    The API server is healthy if it answers. If it doesn't, nothing is known of the others, so they are left out.
    """
    try:
        parts = _fetch(f"{url.rstrip('/')}/api/v2/monitor/health", None, "")
        health = {name: parts[name]["status"] == "healthy" for name in COMPONENTS if parts.get(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {API_SERVER: False}
    return {API_SERVER: True, **health}


def credentials() -> tuple[str, str]:
    """User and password for Airflow's REST API, from `CATWALK_AIRFLOW_USER` and `CATWALK_AIRFLOW_PASSWORD`."""
    return os.environ.get("CATWALK_AIRFLOW_USER") or "admin", os.environ.get("CATWALK_AIRFLOW_PASSWORD", "")


def sign_in(fetch: Fetch, url: str, user: str, password: str) -> str:
    """A token for Airflow's REST API."""
    body = json.dumps({"username": user, "password": password}).encode()
    return str(fetch(f"{url}/auth/token", body, "")["access_token"])


def our_dags(fetch: Fetch, url: str, token: str) -> dict[str, dict[str, Any]]:
    """DAG id → what Airflow says of it, for the DAGs that are tagged as Catwalk's."""
    return {dag["dag_id"]: dag for dag in fetch(f"{url}/api/v2/dags?tags={TAG}", None, token)["dags"]}


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
        """DAG → paused. Empty without a password, and while Airflow does not say."""
        self._url, self._seconds = url.rstrip("/"), seconds
        self._token = ""
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
                self.paused = self._ask_paused()
            self._stopped.wait(self._seconds)

    def _ask_paused(self) -> dict[str, bool]:
        user, password = credentials()
        if not password:
            return {}
        try:
            self._token = self._token or sign_in(_fetch, self._url, user, password)
            return {name: bool(dag["is_paused"]) for name, dag in our_dags(_fetch, self._url, self._token).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._token = ""  # it may have run out: the next look signs in anew
            return {}


def _fetch(url: str, data: bytes | None, token: str) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=_TIMEOUT) as answer:
        return json.loads(answer.read(_LARGEST_ANSWER))
