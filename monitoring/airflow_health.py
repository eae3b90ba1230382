"""Whether Airflow's components are healthy, asked in the background so that nobody waits for a slow answer."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_TIMEOUT = 5.0
_LARGEST_ANSWER = 1_000_000


def ask(url: str) -> dict[str, bool]:
    """Component → healthy, from Airflow's health page (needs no credentials). Unreachable: none is healthy."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/v2/monitor/health", timeout=_TIMEOUT) as answer:
            parts = json.loads(answer.read(_LARGEST_ANSWER))
        return {name: parts[name]["status"] == "healthy" for name in COMPONENTS if parts.get(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return dict.fromkeys(COMPONENTS, False)


class AirflowHealth:
    """The last answer of an Airflow that is asked again and again."""

    def __init__(self, url: str, seconds: float) -> None:
        """
        Args:
            url: of Airflow's API server; empty where there is none.
            seconds: between two questions.
        """
        self.components: dict[str, bool] = {}
        """Empty until the first answer, and where no Airflow is configured."""
        self._url, self._seconds = url, seconds
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
            self._stopped.wait(self._seconds)
