"""Airflow's REST API: what a refusal says, and which servers get the token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from catwalk.clients.airflow_api import AirflowApi, AirflowRefusedError
from tests.support.notifying import Listener

Answer = Callable[[str, str, Any], tuple[int, Any]]


def answers(status: int, value: Any) -> Answer:
    """Signs in any user, and answers every other request like this."""
    return lambda method, path, body: (201, {"access_token": "token"}) if path == "/auth/token" else (status, value)


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    made: list[Listener] = []
    yield made
    for one in made:
        one.stop()


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (
            "DAG churn has import errors\nand cannot be triggered",
            " (DAG churn has import errors and cannot be triggered)",
        ),
        ([{"msg": "Input should be a valid string", "input": "secret"}], " (Input should be a valid string)"),
        (None, ""),
        ([1], ""),
    ],
)
def test_a_refusal_says_why_without_the_values(listeners: list[Listener], detail: Any, said: str) -> None:
    listeners.append(Listener(answers(400, {"detail": detail})))
    with pytest.raises(AirflowRefusedError) as raised:
        AirflowApi(listeners[0].url, "ann", "secret").request("POST", "dags/churn/dagRuns", {})
    assert str(raised.value).endswith(f"answered /api/v2/dags/churn/dagRuns with 400{said}")


def test_a_redirect_to_another_host_does_not_get_the_token(listeners: list[Listener]) -> None:
    listeners.append(Listener(answers(200, {})))
    elsewhere = listeners[0].url.replace("127.0.0.1", "localhost")

    class Redirects(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(201, b'{"access_token": "token"}')

        def do_GET(self) -> None:
            self._send(302, b"")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Location", f"{elsewhere}/there")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Redirects)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        AirflowApi(f"http://127.0.0.1:{server.server_port}", "ann", "secret").request("GET", "dags/churn")
    finally:
        server.shutdown()
        server.server_close()
    [(_, path, _, headers)] = listeners[0].received
    assert path == "/there"
    assert "Authorization" not in headers
