"""pystatsd's clients on our own sockets: they know what was lost, never block for long, and resolve no names.

pystatsd resolves the host in its constructors, raises there, and swallows every error of a send.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from statsd import StatsClient, TCPStatsClient

from catwalk.telemetry.wire.address import Address, Found

DATAGRAM_BYTES = 1_432
"""The size that fits an Ethernet frame with the headers of IPv6 and UDP, and room for those of a tunnel."""


def on_wire(text: str) -> str:
    """Returns text in UTF-8 with one character per byte: pystatsd counts characters when it fills a datagram."""
    return text.encode().decode("latin-1")


class UdpClient(StatsClient):  # type: ignore[misc]
    """A client that sends without waiting, and reports the lines that it could not send to `lost`, with the reason.

    Because it is connected, the socket learns from the previous datagram that a port is closed.

    Raises:
        OSError: there is no route to the address.
    """

    def __init__(self, found: Found, port: int, lost: Callable[[int, str], None]) -> None:
        self._prefix = None
        self._maxudpsize = DATAGRAM_BYTES
        self._lost = lost
        self._last_lines = 0
        self.found = found
        self._sock: socket.socket = socket.socket(found[1], socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect((found[0], port))

    def __del__(self) -> None:
        # An observer does not learn when its run ends, and a socket that is left to the garbage collector warns.
        if hasattr(self, "_sock"):
            self.close()

    def _send(self, data: str) -> None:
        self.transmit(data.encode("latin-1"))

    def transmit(self, data: bytes) -> None:
        """Sends one datagram of lines."""
        self.settle()
        lines = data.count(b"\n") + 1
        try:
            self._sock.send(data)
            self._last_lines = lines
        except OSError as error:
            self._lost(lines, reason(error))

    def settle(self) -> None:
        """Counts the last datagram's lines as lost if it was refused. Asking also clears the error for the next one."""
        refused = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            self._lost(self._last_lines, os.strerror(refused))
        self._last_lines = 0


class Route:
    """The UDP client of an address, opened at first use and again when the host has moved. Not thread-safe."""

    def __init__(self, address: Address, lost: Callable[[int, str], None]) -> None:
        self.address = address
        self._lost = lost
        self._client: UdpClient | None = None

    def found(self) -> Found:
        """Returns the host's address.

        Raises:
            OSError: the host's name is unknown, or not resolved yet.
        """
        found = self.address.find()
        if found is None:
            raise OSError("the host's name could not be resolved")
        return found

    def client(self) -> UdpClient:
        """Returns the client, which it opens if needed.

        Raises:
            OSError: the host's name is unknown, or there is no route to it.
        """
        found = self.found()
        if self._client is None or self._client.found != found:
            client = UdpClient(found, self.address.port, self._lost)
            self.close()
            self._client = client
        return self._client

    def close(self) -> None:
        """Closes the client, if one is open."""
        if self._client:
            self._client.close()
            self._client = None

    def settle(self) -> None:
        """Counts what the last datagram lost, if anything was sent."""
        if self._client:
            self._client.settle()


class TcpClient(TCPStatsClient):  # type: ignore[misc]
    """A client that sends over one connection, with one deadline for everything.

    Raises:
        OSError: no server accepts the connection, or not in time.
    """

    def __init__(self, found: Found, port: int, seconds: float) -> None:
        self._prefix = None
        self._deadline = time.monotonic() + seconds
        self._sock = socket.socket(found[1], socket.SOCK_STREAM)
        try:
            self._sock.settimeout(self._left())
            self._sock.connect((found[0], port))
        except OSError:
            self._sock.close()
            raise

    def _do_send(self, data: str) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data.encode("latin-1") + b"\n")

    def confirm(self) -> None:
        """Waits until statsd_exporter, having read to the end, closes the connection.

        Otherwise data that the kernel accepted for a stopped statsd_exporter would count as sent.

        Raises:
            OSError: it did not, or not in time.
        """
        self._sock.shutdown(socket.SHUT_WR)
        self._sock.settimeout(self._left())
        if self._sock.recv(1):
            raise OSError("it answers, so it is not a StatsD listener")

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def reason(error: Exception) -> str:
    """Returns an error as part of a log line."""
    text = error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
