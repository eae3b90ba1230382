"""The courier's HTTP server."""

from __future__ import annotations

import json
import logging
import urllib.parse
from typing import Any

from catwalk.clients import access
from catwalk.telemetry import catalogue
from catwalk.web import serving
from catwalk_courier import pages, runbooks
from catwalk_courier.payload import parse
from catwalk_courier.service import Service

log = logging.getLogger("catwalk.courier")

LARGEST_BODY = 8_000_000
"""The most bytes of a notification; Alertmanager's have some kilobytes per alert."""
LONGEST_PLAN = 7 * 86_400.0
_LARGEST_LIMIT = 10_000


class Server(serving.Server):
    """Serves one courier."""

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, Handler)


class Handler(serving.Handler):
    """GET shows; POST takes notifications and announcements, and answers once they are on disk.

    POST needs the password; otherwise anyone on the machine could forge an alert, or the Watchdog.
    """

    name = "catwalk-courier"
    server: Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        service = self.server.service
        name = path.removeprefix("/runbooks/").rstrip("/")
        if path == "/":
            self._page(200, service.page())
        elif path == "/healthz":
            self._answer(200, b"ok\n", "text/plain")
        elif path == "/metrics":
            self._answer(200, service.metrics.render(), "text/plain; version=0.0.4")
        elif path == "/api/notifications":
            self._json(service.to_dict(_limit(query)))
        elif path in ("/runbooks", "/runbooks/"):
            self._page(200, runbooks.index())
        elif path.startswith("/runbooks/") and (text := runbooks.runbook(name)):
            self._page(200, text)
        else:
            self._page(404, pages.not_found())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/alertmanager", "/planned-stop", "/test-callouts"):
            self.close_connection = True
            self._page(404, pages.not_found())
            return
        if not access.opens(self.headers.get("Authorization"), self.server.service.password):
            self.server.service.metrics.count(catalogue.COURIER_REFUSED)
            self.close_connection = True
            self._answer(401, b"this needs the user and password of Prometheus and Alertmanager\n", "text/plain")
            return
        try:
            body, answer = self._body(), "kept\n"
            if path == "/alertmanager":
                self.server.service.take(parse(body))
            elif path == "/planned-stop":
                self.server.service.deadman.plan(_plan(body))
            else:
                answer = json.dumps(self.server.service.test_callouts())
        except ValueError as error:
            self.server.service.metrics.count(catalogue.COURIER_REFUSED)
            self.close_connection = True
            self._answer(400, f"{error}\n".encode(errors="replace"), "text/plain")
        except Exception as error:  # Alertmanager retries as long as the answer is an error
            log.error("a request could not be stored: %s: %s", type(error).__name__, error)
            self.close_connection = True
            self._answer(500, b"the request could not be stored; see the courier's log\n", "text/plain")
        else:
            self._answer(200, answer.encode(), "text/plain")

    def _body(self) -> bytes:
        """Returns the posted JSON. A foreign page can't make a browser send such a request without a preflight."""
        if self.headers.get_content_type() != "application/json":
            raise ValueError("Content-Type must be application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise ValueError("Content-Length is missing")
        if int(length) > LARGEST_BODY:
            raise ValueError(f"the body has {int(length):,} bytes; at most {LARGEST_BODY:,} are allowed")
        return self.rfile.read(int(length))

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), "application/json")


def _limit(query: str) -> int:
    text = urllib.parse.parse_qs(query).get("limit", [""])[0]
    return min(int(text), _LARGEST_LIMIT) if text.isascii() and text.isdigit() else 200


def _plan(body: bytes) -> float:
    try:
        seconds = json.loads(body)["seconds"]
    except (ValueError, KeyError, TypeError, RecursionError):
        seconds = None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_PLAN:
        raise ValueError(f'a planned stop is {{"seconds": N}} with N from 0 (ends it) to {LONGEST_PLAN:.0f}')
    return float(seconds)
