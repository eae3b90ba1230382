"""What stands between a client and a server in tests: a proxy that refuses all, and something before S3 that edits."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """The connection ends after this number of bytes of the body."""


Edit = Callable[[Asked, Callable[[], Answer]], Answer]
"""Gets the request and a function that asks the real server; returns what the client sees."""


class _Server:
    """Answers every request by :meth:`answer`, and keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[Asked] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                owner.seen.append(asked)
                answer = owner.answer(asked)
                self.send_response_only(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body[: answer.cut])
                self.close_connection = answer.cut is not None

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_CONNECT = handle_one

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Proxy(_Server):
    """An HTTP proxy that lets nothing through."""

    def answer(self, asked: Asked) -> Answer:
        return Answer(403, b"<html><body>The proxy says no</body></html>", {"Content-Type": "text/html"})

    def environment(self) -> dict[str, str]:
        """Every variable that may name it."""
        return dict.fromkeys(PROXY_VARIABLES, self.url)


class BeforeS3(_Server):
    """A proxy in front of an S3 server. It forwards the Host header unchanged, so signatures stay valid."""

    def __init__(self, port: int, edit: Edit = lambda asked, ask: ask()) -> None:
        """
        Args:
            port: The port of the S3 server on this machine.
            edit: answers each request; may be replaced at any time.
        """
        super().__init__()
        self.edit = edit
        self._port = port

    def answer(self, asked: Asked) -> Answer:
        return self.edit(asked, lambda: self._ask(asked))

    def _ask(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
            for name, value in asked.headers.items():
                if name not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(asked.body)
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return Answer(answer.status, answer.read(), headers)
        finally:
            connection.close()


_HOP = {"content-length", "transfer-encoding", "connection"}
