"""The folders and ports of a native stack. Everything can be changed, so that two stacks can run side by side."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from catwalk.assets.drift_windows import USUAL, DriftWindows
from catwalk.environment import checkout, env_file
from catwalk.environment.addresses import HOST, PORTS, port_variable
from catwalk.environment.former_names import under_new_names
from catwalk.errors import CatwalkError, ConfigError

PROJECT = Path(__file__).resolve().parent.parent


class StackError(CatwalkError):
    """An error of the stack: one line that says what is wrong, and what to do."""


@dataclass(frozen=True)
class Settings:
    """One native stack."""

    home: Path
    """The folder of its state: databases, logs, secrets, rendered configuration."""
    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))
    interval: str = "10s"
    """How often Prometheus scrapes and evaluates."""
    windows: DriftWindows = USUAL
    """The windows of the rules of drift."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads ``CATWALK_HOME``, and also from the home ``CATWALK_PORT_*``, ``CATWALK_SCRAPE_INTERVAL`` and
        ``CATWALK_DRIFT_WINDOWS``.

        Raises:
            StackError: a value is invalid; the message names the variable.
        """
        home = _home(environment.get("CATWALK_HOME") or str(PROJECT / ".catwalk"))
        environment = {**under_new_names(environment), **own_settings(home)}
        ports = {}
        for name, default in PORTS.items():
            text = environment.get(port_variable(name)) or str(default)
            if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
                raise StackError(f"{port_variable(name)} must be a port from 1 to 65535, not {text!r}")
            ports[name] = int(text)
        doubles = [name for name, port in ports.items() if list(ports.values()).count(port) > 1]
        if doubles:
            variables = " and ".join(map(port_variable, doubles))
            raise StackError(f"{variables} are both {ports[doubles[0]]}; give each its own port")
        interval = environment.get("CATWALK_SCRAPE_INTERVAL") or "10s"
        if not re.fullmatch(r"[1-9]\d*s", interval):
            raise StackError(f"CATWALK_SCRAPE_INTERVAL must be whole seconds such as 10s, not {interval!r}")
        return cls(home, ports, interval, _windows(environment, interval))

    @property
    def run(self) -> Path:
        """The working directory of every process of this stack, and of nothing else, by which stray ones are found."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """The folder with one log per part."""
        return self.home / "logs"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket. A socket's path may have 107 bytes, so a deep home gets a short one."""
        path = self.home / "supervisor.sock"
        if len(os.fsencode(path)) <= 90:
            return path
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"catwalk-{os.getuid()}-{digest}.sock"

    def address(self, name: str) -> str:
        """Returns the ``host:port`` at which a part listens."""
        return f"{HOST}:{self.ports[name]}"

    def url(self, name: str) -> str:
        """Returns the HTTP address of a part."""
        return f"http://{self.address(name)}"


def own_settings(home: Path) -> dict[str, str]:
    """Returns ``local.env`` in a stack's home: the owner's own settings, such as a port, or an SMTP server for Airflow.

    Raises:
        StackError: it can't be read, or a line can't be understood.
    """
    path = home / "local.env"
    try:
        own = under_new_names(env_file.read(path), str(path)) if path.exists() else {}
    except ConfigError as error:
        raise StackError(str(error)) from error
    except OSError as error:
        raise StackError(f"{path} can't be read: {error.strerror}") from error
    if "CATWALK_HOME" in own:
        raise StackError(f"{path} can't set CATWALK_HOME, the folder that contains it; set that in the environment")
    return own


def _windows(environment: Mapping[str, str], interval: str) -> DriftWindows:
    name = "CATWALK_DRIFT_WINDOWS"
    try:
        return DriftWindows.read(name, environment.get(name) or "1h,1d", int(interval[:-1]))
    except ConfigError as error:
        raise StackError(str(error)) from error


def _home(text: str) -> Path:
    """Returns the canonical path of a folder, the only one that the kernel shows: processes are found by their working
    directory.
    """
    try:
        return Path(text).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise StackError(f"CATWALK_HOME={text} can't be used: {error}") from error


def tool(name: str) -> Path:
    """Returns a native server or command that `make setup` has built.

    Raises:
        StackError: it is not built.
    """
    found = checkout.built_tool(name)
    if not found:
        raise StackError(f"{name} is not built yet; run `make setup`")
    return found
