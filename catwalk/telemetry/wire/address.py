"""The address of StatsD: parses ``host:port``, and resolves the host without delaying the caller."""

from __future__ import annotations

import socket
import threading
import time

from catwalk.errors import ConfigError

FIRST_WAIT_SECONDS = 1.0
"""How long the first lookup waits for the name server; later ones never wait."""
REFRESH_SECONDS = 30.0
"""How old an answer, or a failure, may be before it is looked up again: containers move, name servers recover."""

Found = tuple[str, socket.AddressFamily]
"""An IP address and its family."""


class Address:
    """A host and a port; the host is resolved in the background, at most every :data:`REFRESH_SECONDS`."""

    def __init__(self, host: str, port: int, preferred: socket.AddressFamily = socket.AF_INET) -> None:
        """
        Args:
            host: A name or an IP address.
            port: 1 to 65,535.
            preferred: The address family to use if a host has both: "localhost" often means ::1 first, where a
                statsd_exporter bound to 127.0.0.1 doesn't listen.
        """
        self.host = host
        self.port = port
        self._preferred = preferred
        self._found: Found | None = None
        self._asked: float | None = None
        self._answered = threading.Event()

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, variable: str) -> Address:
        """Reads ``host:port``, ``1.2.3.4:port`` or ``[::1]:port``.

        Raises:
            ConfigError: it is none of these; the message names the variable.
        """
        host, _, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        well_formed = (
            host and (bracketed or ":" not in host) and host.isascii() and host.isprintable() and " " not in host
        )
        if not well_formed or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            raise ConfigError(f"{variable} must be host:port such as 127.0.0.1:9125 or [::1]:9125, not {text!r}")
        return cls(host, int(port))

    def find(self) -> Found | None:
        """Returns the last IP address that was found and its family; None if there is none yet.

        Don't call it from several threads at once: the emitter calls it under its lock.
        """
        now = time.monotonic()
        if self._asked is None or (self._answered.is_set() and now - self._asked >= REFRESH_SECONDS):
            first, self._asked = self._asked is None, now
            self._answered.clear()
            # getaddrinfo has no timeout, and an unreachable name server blocks it for half a minute.
            threading.Thread(target=self._look_up, name="statsd-address", daemon=True).start()
            if first:
                self._answered.wait(FIRST_WAIT_SECONDS)
        return self._found

    def _look_up(self) -> None:
        try:
            answers = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
            family, _, _, _, address = min(answers, key=lambda answer: answer[0] != self._preferred)
            self._found = str(address[0]), family
        except (OSError, ValueError):
            pass  # The previous address may still be correct; UnicodeError is a ValueError.
        finally:
            self._answered.set()
