"""The common parts of Catwalk's small web servers: they start, bind, answer and stop in the same way."""

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
    """Something that works in its own threads behind a server."""

    def start(self) -> None:
        """Starts the threads."""

    def stop(self) -> None:
        """Stops the threads."""


S = TypeVar("S")
T = TypeVar("T", bound=Service)


class Server(ThreadingHTTPServer):
    """A server with one thread per request; no thread delays the end of the process."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):  # a client that hung up needs no log line
            log.error("a request failed: %s: %s", type(error).__name__, error)


class Handler(BaseHTTPRequestHandler):
    """Answers with whole bodies that are not cached and load nothing from elsewhere."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    name: ClassVar[str] = "catwalk"
    """The server's name in its headers."""
    policy: ClassVar[str] = "default-src 'none'; style-src 'unsafe-inline'"
    """The Content-Security-Policy of every answer."""

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
        """Logs nothing: scrapes would flood the log."""


def options(module: str, description: str, port_variable: str, port: str) -> argparse.ArgumentParser:
    """Returns a parser with ``--host`` and ``--port``.

    Args:
        module: The module that ``python -m`` starts.
        description: What the program does.
        port_variable: The environment variable of the port.
        port: The default port.
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
        name: Its name in the log.
        make: Returns the service.
        server: Takes the address and the service, and listens there.
        host: The address to listen on.
        port: The port; 0 for any free one.

    Raises:
        CatwalkError: it can't start.
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
    # A thread that hangs, in a read of S3 or a callout, must not delay the end; everything to keep is on disk.
    os._exit(0)


def bind(make: Callable[[tuple[str, int]], S], host: str, port: int) -> S:
    """Returns a server that listens.

    Args:
        make: Takes the address and listens there.
        host: The address to listen on.
        port: The port; 0 for any free one.

    Raises:
        ConfigError: the port is in use, or there is no such address.
    """
    try:
        return make((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use; stop the program that listens there, or choose another port with "
                "--port"
            ) from error
        raise ConfigError(f"can't listen on {host}:{port}: {error.strerror}") from error
    except OverflowError as error:
        raise ConfigError(f"{port} is not a port number; choose one from 0 to 65535") from error


class StopSignals:
    """Notices SIGTERM and SIGINT as soon as it exists."""

    def __init__(self) -> None:
        self._received: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self._received.append(received))

    def wait(self) -> None:
        """Waits for a signal.

        It polls: a handler that sets an event while this thread takes that event's lock would hang.
        """
        while not self._received:
            time.sleep(_LOOK_SECONDS)
