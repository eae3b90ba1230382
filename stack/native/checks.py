"""Refuses settings, folders and ports that can't work, before anything is written or stopped."""

from __future__ import annotations

import socket

import psutil

from catwalk.airflow import dag_settings
from catwalk.environment.addresses import HOST, port_variable
from catwalk.errors import ConfigError
from catwalk.notifications import quiet_hours, receivers
from stack.configuration.environment import client_environment
from stack.native.processes import processes
from stack.parts.part import Part
from stack.settings import Settings, StackError

_SPECIAL = {
    "prometheus": ("*?[\\", "such characters turn the paths of its files into patterns"),
    "grafana": ("#?%", "its SQLite reads such characters as part of a URI, and would open a different database"),
}
"""The characters that each part's paths can't contain, and why."""


def check(settings: Settings, wanted: list[Part]) -> None:
    """Checks whether these parts can start with these settings.

    Raises:
        StackError: they can't.
    """
    try:
        environment = client_environment(settings)
        dag_settings.check(environment)
        folder = receivers.folder(environment)
        receivers.read(folder)
        quiet_hours.read(folder)
    except ConfigError as error:
        raise StackError(str(error)) from error
    _check_home(settings, {part.name for part in wanted})
    ours = _own_ports(settings)
    for part in wanted:
        for name in part.ports:
            if settings.ports[name] not in ours:
                _check_port(settings, part, name)


def _check_home(settings: Settings, names: set[str]) -> None:
    """Refuses a home whose path a server would misread, so that it would not find its files, or find others."""
    for name, (characters, why) in _SPECIAL.items():
        found = next((one for one in characters if one in str(settings.home)), "")
        if found and name in names:
            raise StackError(f"{name} can't work in a folder with {found!r} in its path: {why}; move {settings.home}")


def _own_ports(settings: Settings) -> set[int]:
    """Returns the ports on which this stack listens: a restarted part may have its old port, or another part's."""
    found = set()
    for process in processes(settings):
        try:
            found |= {one.laddr.port for one in process.net_connections("inet") if one.laddr and not one.raddr}
        except psutil.Error:
            continue
    return found


def _check_port(settings: Settings, part: Part, name: str) -> None:
    port = settings.ports[name]
    for kind in (socket.SOCK_STREAM, *((socket.SOCK_DGRAM,) if name == "statsd" else ())):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise StackError(
                    f"port {port} is in use, and {part.name} needs it; stop the program that listens there, or set "
                    f"{port_variable(name)} to a free port"
                ) from None
