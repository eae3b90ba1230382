"""Whether Airflow's components are healthy and its DAGs unpaused; asked in the background, so that nobody waits."""

from __future__ import annotations

import json
import threading
import time
import urllib.request

from ml.proxies import fetch_part
from monitoring.airflow_api import AirflowApi, AirflowError

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
API_SERVER = "api_server"
DAGS_SECONDS = 30.0
"""Between two looks at the DAGs: they cost Airflow a sign-in check and a query, and change seldom."""
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
        """DAG → paused. Empty without a password, and while Airflow does not say."""
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
                self.paused = self._ask_paused()
            self._stopped.wait(self._seconds)

    def _ask_paused(self) -> dict[str, bool]:
        self._api = self._api or AirflowApi.at(self._url)
        if self._api is None:
            return {}
        try:
            return {name: bool(dag["is_paused"]) for name, dag in self._api.dags().items()}
        except (AirflowError, KeyError, TypeError, AttributeError):
            self._api = None  # its token may have run out: the next look signs in anew
            return {}
