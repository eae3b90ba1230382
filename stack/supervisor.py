"""supervisord, which runs the parts and starts again what dies: its configuration and its control socket."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from stack.environment import process_environment
from stack.parts import Part
from stack.settings import PROJECT, Settings, StackError

_STOP_SECONDS = 10


def render(settings: Settings, parts: list[Part]) -> str:
    """supervisord's configuration. Nothing starts by itself: order and checks are :mod:`stack.control`'s."""

    def text(value: object) -> str:
        return str(value).replace("%", "%%")

    sections = [
        f"[unix_http_server]\nfile={text(settings.socket)}\nchmod=0700",
        f"[supervisord]\nlogfile={text(settings.logs / 'supervisord.log')}\n"
        f"pidfile={text(settings.home / 'supervisord.pid')}\n"
        f"directory={text(settings.run)}\nnocleanup=true\nminfds=1024",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for part in parts:
        sections.append(
            f"[program:{part.name}]\ncommand={text(shlex.join(_command(part)))}\ndirectory={text(settings.run)}\n"
            "autostart=false\nautorestart=true\nstartsecs=1\nstartretries=1000\n"
            f"stopwaitsecs={_STOP_SECONDS}\nstopasgroup=true\nkillasgroup=true\nredirect_stderr=true\n"
            f"stdout_logfile={text(settings.logs / f'{part.name}.log')}\nstdout_logfile_maxbytes=20MB\n"
            "stdout_logfile_backups=3"
        )
    return "\n\n".join(sections) + "\n"


def _command(part: Part) -> list[str]:
    """What is started: the part, behind a guard where it has one."""
    if not part.guarded:
        return part.command
    asks = "import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=30).read()"
    return [
        "/bin/sh",
        str(PROJECT / "stack" / "guard.sh"),
        shlex.join([sys.executable, "-c", asks, part.guarded]),
        *part.command,
    ]


class Supervisor:
    """Talks to the supervisord of one stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _call(self, method: str, *arguments: object) -> Any:
        """A fresh connection for each call: supervisor's transport does not recover from one that was refused."""
        transport = SupervisorTransport(None, None, f"unix://{self._settings.socket}")
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        finally:
            transport.close()

    def pid(self) -> int | None:
        """The daemon's process id, or None when it does not answer."""
        try:
            return int(self._call("getPID"))
        except (OSError, Fault):
            return None

    def launch(self, parts: list[Part]) -> None:
        """Starts the daemon with these parts, all of them still stopped.

        Raises:
            StackError: it does not start.
        """
        settings = self._settings
        configuration = settings.home / "supervisord.conf"
        configuration.write_text(render(settings, parts))
        settings.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
        environment = process_environment(settings)
        done = subprocess.run(
            command, cwd=settings.run, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise StackError(f"supervisord does not start: {(done.stderr or done.stdout).strip().splitlines()[-1]}")

    def reconfigure(self, parts: list[Part]) -> None:
        """Makes a running daemon know exactly these parts and those it has running."""
        (self._settings.home / "supervisord.conf").write_text(render(self._settings, parts))
        added, _, _ = self._call("reloadConfig")[0]
        for name in added:
            self._call("addProcessGroup", name)

    def states(self) -> dict[str, str]:
        """Part → RUNNING, STARTING, BACKOFF, STOPPED, EXITED or FATAL; empty when the daemon does not answer."""
        try:
            return {info["name"]: info["statename"] for info in self._call("getAllProcessInfo")}
        except (OSError, Fault):
            return {}

    def processes(self) -> dict[str, int]:
        """Part → process id, of those that run."""
        return {info["name"]: info["pid"] for info in self._call("getAllProcessInfo") if info["pid"]}

    def start(self, name: str) -> None:
        """Starts a part and returns at once; one that runs is left alone."""
        if self.states().get(name) not in ("RUNNING", "STARTING"):
            self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stops a part and waits for it."""
        if self.states().get(name) in ("RUNNING", "STARTING", "BACKOFF"):
            self._call("stopProcess", name)

    def shutdown(self) -> None:
        """Asks the daemon to stop everything and itself; returns at once."""
        try:
            self._call("shutdown")
        except (OSError, Fault):
            return
