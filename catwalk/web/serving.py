"""What Catwalk's small web servers have in common: they start, bind, answer and stop in the same way."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, NoReturn, Protocol, TypeVar

from catwalk.environment.former_names import under_new_names
from catwalk.errors import ConfigError

log = logging.getLogger("catwalk.http")

_LOOK_SECONDS = 0.2


class Service(Protocol):
    """What works in threads of its own behind a server."""

    def start(self) -> None:
        """Starts the threads."""

    def stop(self) -> None:
        """Ends them."""


S = TypeVar("S")
T = TypeVar("T", bound=Service)


class Server(ThreadingHTTPServer):
    """A thread a request; none of them holds up the end of the process."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):  # a client that hung up is no news
            log.error("a request failed: %s: %s", type(error).__name__, error)


class Handler(BaseHTTPRequestHandler):
    """Answers whole bodies that nobody caches and that load nothing from elsewhere."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    name: ClassVar[str] = "catwalk"
    """What the server calls itself."""
    policy: ClassVar[str] = "default-src 'none'; style-src 'unsafe-inline'"
    """Content-Security-Policy of every answer."""

    def _page(self, status: int, content: str | bytes) -> None:
        body = content if isinstance(content, bytes) else content.encode(errors="replace")
        self._answer(status, body, "text/html")

    def _redirect(self, address: str) -> None:
        """Sends a browser to another address of this server."""
        self.send_response(303)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", f'Basic realm="{self.name}"')
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return self.name

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


def options(module: str, description: str, port_variable: str, port: str) -> argparse.ArgumentParser:
    """A parser that knows ``--host`` and ``--port``.

    Args:
        module: what ``python -m`` starts.
        description: what it does.
        port_variable: the environment's name for the port.
        port: the default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    chosen = under_new_names(os.environ).get(port_variable) or port
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=chosen, help="port to listen on (default %(default)s)")
    return parser


def run(
    name: str, make: Callable[[], T], server: Callable[[tuple[str, int], T], Server], host: str, port: int
) -> NoReturn:
    """Runs a service until SIGTERM or SIGINT, and ends the process.

    Args:
        name: what the log calls it.
        make: the service.
        server: takes the address and the service, and listens there.
        host: address to listen on.
        port: 0 for any that is free.

    Raises:
        CatwalkError: it can't begin.
    """
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = StopSignals()
    service = make()
    listening = bind(lambda address: server(address, service), host, port)
    service.start()
    threading.Thread(target=listening.serve_forever, name="http", daemon=True).start()
    log.info("%s listens at http://%s:%d", name, *listening.server_address[:2])
    stop.wait()
    listening.shutdown()
    service.stop()
    sys.stderr.flush()
    # What hangs in a thread, a read of S3 or a call-out, must not hold up this end; all that was kept is on the disk.
    os._exit(0)


def bind(make: Callable[[tuple[str, int]], S], host: str, port: int) -> S:
    """A server that listens.

    Args:
        make: takes the address and listens there.
        host: address to listen on.
        port: 0 for any that is free.

    Raises:
        ConfigError: the port is taken, or there is no such address.
    """
    try:
        return make((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is taken; stop what listens there, or choose another with --port"
            ) from error
        raise ConfigError(f"can't listen on {host}:{port}: {error.strerror}") from error
    except OverflowError as error:
        raise ConfigError(f"{port} is no port number") from error


class StopSignals:
    """Notices SIGTERM and SIGINT from its making on."""

    def __init__(self) -> None:
        self._received: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self._received.append(received))

    def wait(self) -> None:
        """Returns once one has come.

        It looks again and again: a handler that sets an event while this thread takes that event's lock would hang.
        """
        while not self._received:
            time.sleep(_LOOK_SECONDS)
