"""Requests that carry the stack's password, and servers that never get it."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from catwalk.clients import access
from tests.support.notifying import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


@pytest.fixture
def leads_on(listener: Listener) -> Iterator[str]:
    """The URL of a server that answers everything with a redirect to the listener."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{listener.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def authorizations(listener: Listener) -> list[str | None]:
    return [headers.get("Authorization") for *_, headers in listener.received]


def test_a_password_is_sent_only_if_one_is_set(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(access.PASSWORD_VARIABLE, raising=False)
    access.fetch(f"{listener.url}/api", timeout=10)
    monkeypatch.setenv(access.PASSWORD_VARIABLE, "of the stack")
    access.fetch(f"{listener.url}/api", timeout=10)
    access.fetch(f"{listener.url}/api", timeout=10, password="another")
    access.fetch(f"{listener.url}/api", timeout=10, password="")
    assert authorizations(listener) == [None, access.header("of the stack"), access.header("another"), None]


def test_the_target_of_a_redirect_gets_no_password(listener: Listener, leads_on: str) -> None:
    access.fetch(leads_on, timeout=10, password="of the stack")
    assert [path for _, path, *_ in listener.received] == ["/elsewhere"]
    assert authorizations(listener) == [None]


@pytest.mark.parametrize("given", [None, "", "Basic", access.header("right")[:-1], access.header("Right"), "Basic é"])
def test_only_the_right_header_opens(given: str | None) -> None:
    assert not access.opens(given, "right")
    assert access.opens(access.header("right"), "right")


def test_a_failure_is_one_line_with_the_variable_to_correct() -> None:
    stranger = Listener(lambda *request: (401, {}))
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            access.fetch(stranger.url, timeout=10, password="wrong")
        line = access.complaint("Prometheus", "http://p", "CATWALK_PROMETHEUS_URL", refused.value)
        assert (
            line == "Prometheus at http://p refused the user catwalk; set CATWALK_MONITORING_PASSWORD to its password"
        )
    finally:
        stranger.stop()
    with pytest.raises(OSError, match="refused") as absent:
        access.fetch("http://127.0.0.1:1", timeout=10)
    line = access.complaint("Prometheus", "http://p", "CATWALK_PROMETHEUS_URL", absent.value)
    assert "does not answer (Connection refused); start it (`make up`), or correct CATWALK_PROMETHEUS_URL" in line
