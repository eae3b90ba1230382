"""The processes of a stack: finds them, and ends those that were left behind."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from stack.configuration.environment import MARKER
from stack.settings import Settings


def processes(settings: Settings) -> list[psutil.Process]:
    """Returns every living process of this stack: the supervisor's tree, and processes that a killed parent left
    behind.

    A process belongs to the stack if its working directory is the run folder or its environment contains the home.
    (Either alone misses some: versitygw changes its folder, Airflow's workers overwrite their environment with their
    title.) A shell that has evaluated `python -m stack env` is a client, and lacks the marker.
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
    """Ends remaining processes: with SIGTERM first, and SIGKILL after three seconds."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        # psutil identifies a process by pid and start time, so a reused pid is never hit.
        left = {process.pid: process for process in [*(known or ()), *processes(settings)] if process.is_running()}
        for process in left.values():
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(list(left.values()), timeout=3)
