"""What is known about an Airflow, from a server that answers as Airflow does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from catwalk.clients import airflow_health
from catwalk.clients.airflow_health import AirflowHealth
from stack.ports import free_port
from tests.support.servers import wait_until


class Airflow(BaseHTTPRequestHandler):
    """The four answers in use; a token is valid until the server issues another."""

    tokens = 0
    paused = False
    schedule = "0 3 * * *"
    last = "success"
    """State of the last finished DAG run; if empty, Airflow does not say."""

    def do_GET(self) -> None:
        if self.path == "/api/v2/monitor/health":
            healthy, ill = {"status": "healthy"}, {"status": "unhealthy"}
            self._say(200, {"scheduler": healthy, "metadatabase": healthy, "triggerer": None, "dag_processor": ill})
        elif self.headers["Authorization"] != f"Bearer {Airflow.tokens}":
            self._say(401, {})
        else:
            self._say(*self._of_dags())

    def _of_dags(self) -> tuple[int, Any]:
        if self.path == "/api/v2/dags?tags=catwalk":
            known = {"is_paused": Airflow.paused, "timetable_summary": Airflow.schedule}
            return 200, {"dags": [{"dag_id": "fashion_training", **known}]}
        path, _, query = self.path.partition("?")
        assert path == "/api/v2/dags/fashion_training/dagRuns"
        assert parse_qs(query) == {"state": ["failed", "success"], "order_by": ["-end_date"], "limit": ["1"]}
        ended = {"dag_run_id": "manual__1", "end_date": "2026-11-27T03:10:00.500000Z", "state": Airflow.last}
        return (200, {"dag_runs": [ended]}) if Airflow.last else (404, {})

    def do_POST(self) -> None:
        login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Airflow.tokens += login == {"username": "admin", "password": "secret"}
        self._say(201, {"access_token": str(Airflow.tokens)})

    def _say(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Airflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_components_are_as_airflow_says(airflow: str) -> None:
    assert airflow_health.ask(airflow) == {
        "api_server": True, "scheduler": True, "metadatabase": True, "dag_processor": False,
    }  # fmt: skip


def test_an_airflow_that_does_not_answer_is_known_only_as_such() -> None:
    assert airflow_health.ask(f"http://127.0.0.1:{free_port()}") == {"api_server": False}


def test_a_server_that_does_not_speak_http_is_not_airflow_and_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            with suppress(OSError):  # the test may end before the third one comes
                for _ in range(3):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1_000)
                        connection.sendall(b"220 not a web server\r\n")

        threading.Thread(target=babble, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert airflow_health.ask(url) == {"api_server": False}
        health = AirflowHealth(url, 0.05)
        health.start()
        wait_until(lambda: health.asked)
        assert health.components == {"api_server": False}
        health.stop()


def test_whether_a_dag_is_paused_and_still_after_a_token_has_run_out(
    airflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    monkeypatch.delenv("CATWALK_AIRFLOW_USER", raising=False)
    monkeypatch.setattr(airflow_health, "DAGS_SECONDS", 0.0)
    health = AirflowHealth(airflow, 0.05)
    health.start()
    try:
        wait_until(lambda: health.paused == {"fashion_training": False})
        Airflow.tokens += 1
        monkeypatch.setattr(Airflow, "paused", True)
        wait_until(lambda: health.paused == {"fashion_training": True})
    finally:
        health.stop()


def test_a_failed_last_run_of_a_dag_stays_known_while_airflow_does_not_say(
    airflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    monkeypatch.setattr(airflow_health, "DAGS_SECONDS", 0.0)
    monkeypatch.setattr(Airflow, "last", "failed")
    health = AirflowHealth(airflow, 0.05)
    assert not health.asked
    health.start()
    failure = {("fashion_training", "manual__1"): 1_795_749_000.5}
    try:
        wait_until(lambda: health.asked)
        assert (health.failures, health.paused) == (failure, {"fashion_training": False})
        monkeypatch.setattr(Airflow, "last", "")
        tokens = Airflow.tokens
        wait_until(lambda: Airflow.tokens > tokens + 2, "three looks that brought nothing")
        assert (health.failures, health.paused) == (failure, {"fashion_training": False})
        monkeypatch.setattr(Airflow, "last", "success")
        wait_until(lambda: health.failures == {})
    finally:
        health.stop()


def test_since_when_a_dag_has_its_schedule(airflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_AIRFLOW_PASSWORD", "secret")
    monkeypatch.setattr(airflow_health, "DAGS_SECONDS", 0.0)
    health = AirflowHealth(airflow, 0.05)
    health.start()
    try:
        first = wait_until(lambda: health.schedules.get("fashion_training"))
        assert first
        assert first.text == "0 3 * * *" and abs(first.since - time.time()) < 60
        monkeypatch.setattr(Airflow, "paused", True)
        wait_until(lambda: health.paused == {"fashion_training": True})
        assert health.schedules == {"fashion_training": first}
        monkeypatch.setattr(Airflow, "schedule", "@hourly")
        wait_until(lambda: health.schedules["fashion_training"].text == "@hourly")
        assert health.schedules["fashion_training"].since > first.since
    finally:
        health.stop()


def test_without_a_password_there_is_no_request(airflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATWALK_AIRFLOW_PASSWORD", raising=False)
    health = AirflowHealth(airflow, 0.05)
    health.start()
    try:
        wait_until(lambda: health.components)
        assert health.paused == {}
    finally:
        health.stop()
