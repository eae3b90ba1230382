"""Ports for servers that listen beside others on this machine."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from catwalk.environment.addresses import HOST, PORTS

_LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on, by TCP or UDP, and that the kernel gives to no one else before a server binds it.

    The kernel gives its ephemeral ports to connections, and to servers that bind port 0. So this one lies below them,
    at random, because other processes look for theirs at the same time.
    """
    highest = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    while True:
        port = random.SystemRandom().randrange(_LOWEST, highest)
        if port not in _given and all(_is_free(port, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            _given.add(port)
            return port


def free_ports() -> dict[str, int]:
    """Part of a stack → a free port for it."""
    return {name: free_port() for name in PORTS}


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
