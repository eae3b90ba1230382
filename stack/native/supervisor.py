"""supervisord, which runs the parts and restarts those that die: its configuration and its control socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from stack.configuration.environment import MARKER
from stack.native import programs
from stack.parts.part import FORMER_NAMES, Part
from stack.settings import Settings, StackError

_ALIVE = ("RUNNING", "STARTING", "BACKOFF")
"""The states in which supervisord keeps a part running, or tries to."""


def render(settings: Settings) -> str:
    """Returns supervisord's configuration. Nothing starts automatically: :mod:`stack.native.control` handles order and
    checks.

    Paths are relative to the run folder, the working directory of the daemon and all parts: a home's path may contain
        ``%`` or ``#``.
    """
    sections = [
        f"[unix_http_server]\nfile={_socket(settings)}\nchmod=0700\n",
        "[supervisord]\nlogfile=../logs/supervisord.log\npidfile=../supervisord.pid\n"
        f"umask={programs.umask():03o}\nnocleanup=true\nminfds=1024\n",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    return "\n".join([*sections, *programs.sections(settings)])


def _socket(settings: Settings) -> str:
    inside = settings.socket.parent == settings.home
    return f"../{settings.socket.name}" if inside else str(settings.socket).replace("%", "%%")


class Supervisor:
    """Talks to the supervisord of one stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _call(self, method: str, *arguments: object) -> Any:
        """Uses a new connection for each call: supervisor's transport does not recover from one that was refused."""
        transport = SupervisorTransport(None, None, f"unix://{self._settings.socket}")
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        except Fault as error:
            raise StackError(
                f"supervisord refuses {method}: {error.faultString}; run `make down`, then `make up`"
            ) from error
        except OSError as error:
            raise StackError(f"supervisord does not answer: {error.strerror}; `make up` starts it") from error
        finally:
            transport.close()

    def pid(self) -> int | None:
        """Returns the daemon's process id, or None if it does not answer."""
        try:
            return int(self._call("getPID"))
        except StackError:
            return None

    def launch(self, parts: list[Part]) -> None:
        """Starts the daemon with these parts, all of them still stopped.

        Raises:
            StackError: it does not start.
        """
        settings = self._settings
        shutil.rmtree(programs.folder(settings), ignore_errors=True)
        programs.folder(settings).mkdir(mode=0o700)
        self._configure(parts)
        settings.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(settings.home / "supervisord.conf")]
        environment = {"PATH": os.environ.get("PATH") or os.defpath, MARKER: str(settings.home)}
        done = subprocess.run(
            command, cwd=settings.run, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            lines = [line for line in (done.stderr + done.stdout).splitlines() if not line.startswith("For help")]
            raise StackError(f"supervisord does not start: {lines[-1] if lines else 'it printed nothing'}")

    def reconfigure(self, parts: list[Part]) -> list[str]:
        """Configures a running daemon with the current settings of these parts, in addition to those that it already
        knows.

        Returns:
            Those that ran with other settings or under a former name, and are now stopped.
        """
        alive = self.alive()
        former = {old: new for old, new in FORMER_NAMES.items() if new in {part.name for part in parts}}
        for old in former:
            programs.forget(self._settings, old)
        self._configure(
            part for part in parts if part.name not in alive or not programs.is_current(self._settings, part)
        )
        added, changed, removed = self._call("reloadConfig")[0]
        stopped = [part.name for part in parts if part.name in changed]
        ended = [old for old in former if old in removed]
        for name in (*stopped, *ended):
            self.stop(name)
            self._call("removeProcessGroup", name)
        for name in (*added, *stopped):
            self._call("addProcessGroup", name)
        return [former.get(name, name) for name in (*stopped, *ended) if name in alive]

    def _configure(self, parts: Iterable[Part]) -> None:
        programs.folder(self._settings).mkdir(mode=0o700, exist_ok=True)  # a stack of an older version has none
        for part in parts:
            programs.write(self._settings, part)
        (self._settings.home / "supervisord.conf").write_text(render(self._settings))

    def states(self) -> dict[str, str]:
        """Returns the state of each part: RUNNING, STARTING, BACKOFF, STOPPED, EXITED or FATAL; empty if the daemon
        does not answer.
        """
        try:
            return {info["name"]: info["statename"] for info in self._call("getAllProcessInfo")}
        except StackError:
            return {}

    def alive(self) -> set[str]:
        """Returns the parts that run, or that the daemon tries to run."""
        return {name for name, state in self.states().items() if state in _ALIVE}

    def processes(self) -> dict[str, int]:
        """Returns the process ids of the running parts."""
        return {info["name"]: info["pid"] for info in self._call("getAllProcessInfo") if info["pid"]}

    def start(self, name: str) -> None:
        """Starts a part and returns at once; a running one is left alone."""
        if name not in self.alive():
            self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stops a part and waits for it."""
        if name in self.alive():
            self._call("stopProcess", name)

    def shutdown(self) -> None:
        """Asks the daemon to stop everything and itself; returns at once."""
        try:
            self._call("shutdown")
        except StackError:
            return
