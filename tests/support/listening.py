"""What listens where."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from catwalk.environment.addresses import HOST
from stack.native.processes import processes
from stack.parts.order import parts
from stack.settings import Settings

Listener = tuple[str, str, int]
"""Protocol, address and port."""


def listening(processes: list[psutil.Process]) -> Iterator[Listener]:
    """Every socket on which one of the processes waits for others."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for process in processes:
        try:
            sockets = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        for one in sockets:
            address, port = one.laddr
            if one.type == socket.SOCK_STREAM and one.status == psutil.CONN_LISTEN:
                yield "tcp", address, port
            # Who only sends by UDP has a port that the kernel chose, and a wildcard address or none.
            if one.type == socket.SOCK_DGRAM and not one.raddr and (port < lowest or address == HOST):
                yield "udp", address, port


def found(settings: Settings) -> set[Listener]:
    """Where the processes of a stack listen."""
    return set(listening(processes(settings)))


def expected(settings: Settings, names: list[str]) -> set[Listener]:
    """Where these parts are meant to listen, and nowhere else."""
    known = parts(settings)
    ports = {port for name in names for port in known[name].ports}
    udp = {("udp", HOST, settings.ports["statsd"])} if "statsd" in ports else set()
    return {("tcp", HOST, settings.ports[port]) for port in ports} | udp
