"""The processes of a stack: which they are, and the end of those that were left behind."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from stack.configuration.environment import MARKER
from stack.settings import Settings


def processes(settings: Settings) -> list[psutil.Process]:
    """Every living process of this stack: the supervisor's tree, and what was left behind by a killed parent.

    A process belongs to the stack when it works in its run folder or carries its home in its environment. (Either alone
    misses some: versitygw changes its folder, Airflow's workers overwrite their environment with their title.) A shell
    that has taken up `python -m stack env` is a client, and lacks the marker.
    """
    marker = f"{MARKER}={settings.home}".encode(errors="surrogateescape")
    run = os.path.realpath(settings.run)
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            content = Path(f"/proc/{process.pid}/environ").read_bytes()
            if process.cwd() == run or marker in content.split(b"\0"):
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
        except (psutil.Error, OSError):
            continue
    return list(found.values())


def stop_strays(settings: Settings, known: list[psutil.Process] | None = None) -> None:
    """Ends what is left: asked first, killed after three seconds."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        # psutil knows a process by pid and start time, so a pid that was given anew is never hit.
        left = {process.pid: process for process in [*(known or ()), *processes(settings)] if process.is_running()}
        for process in left.values():
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(list(left.values()), timeout=3)
