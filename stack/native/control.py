"""Starts and stops a native stack."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stack.native import planned, programs
from stack.native.checks import check
from stack.native.processes import processes, stop_strays
from stack.native.rendering import render
from stack.native.starting import Say, start
from stack.native.supervisor import Supervisor
from stack.parts.order import parts
from stack.parts.part import FORMER_NAMES, Part
from stack.settings import Settings, StackError

STOP_SECONDS = 50.0
"""How long the supervisor may take to stop all parts and itself: more than any part may take."""


def up(settings: Settings, names: list[str] | None = None, say: Say = print) -> list[Part]:
    """Starts the parts, waits until each answers its health check, and returns them.

    A part that runs with the current settings is left alone; one that runs with others is restarted. If a part does not
    become healthy, this call stops what it started: everything if nothing ran before, otherwise the parts that did not
    run before or do not answer.

    Args:
        settings: The stack.
        names: The parts to run; all of them if none are named.
        say: Takes a line of progress.

    Raises:
        StackError: a part is unknown, a setting is invalid, a port is in use, or a part does not become healthy.
    """
    with _lock(settings):
        known = parts(settings)
        unknown = sorted(set(names or ()) - set(known))
        if unknown:
            raise StackError(f"there is no part {unknown[0]!r}; the parts are {', '.join(known)}")
        wanted = [part for part in known.values() if not names or part.name in names]
        supervisor = Supervisor(settings)
        if supervisor.pid() is None:
            stop_strays(settings)
        check(settings, wanted)
        before = {FORMER_NAMES.get(name, name) for name in supervisor.alive()}
        render(settings)
        starting: list[Part] = []
        try:
            _configure(settings, supervisor, wanted, say)
            starting += [part for part in wanted if part.name not in supervisor.alive()]
            start(settings, supervisor, wanted, say)
            _tell_of_others(settings, supervisor, known, wanted, say)
            planned.end_stop(settings, {part.name for part in wanted}, say)
        except BaseException:
            if before:
                _stop_again(supervisor, [part for part in starting if part.name not in before or not part.healthy()])
            else:
                _stop(settings, supervisor)
            raise
    return wanted


def down(settings: Settings, say: Say = print) -> None:
    """Stops everything that belongs to this stack, including Airflow's workers, which outlive their group."""
    with _lock(settings):
        supervisor = Supervisor(settings)
        planned.announce_stop(settings, supervisor, say)
        started = time.monotonic()
        count = _stop(settings, supervisor)
        say(f"stopped {count} processes in {time.monotonic() - started:.0f} s" if count else "nothing was running")


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    """Allows one start or stop of a stack at a time."""
    try:
        for folder in (settings.home, settings.run, settings.logs):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"CATWALK_HOME={settings.home} can't be used: {error.strerror}") from error
    with (settings.home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _configure(settings: Settings, supervisor: Supervisor, wanted: list[Part], say: Say) -> None:
    """Configures the supervisor with the parts; stops those that run with other settings."""
    if supervisor.pid() is None:
        supervisor.launch(wanted)
        return
    for name in supervisor.reconfigure(wanted):
        say(f"{name} restarts, because its settings changed")


def _tell_of_others(
    settings: Settings, supervisor: Supervisor, known: dict[str, Part], wanted: list[Part], say: Say
) -> None:
    """Reports what runs and was left as it is."""
    others = sorted(supervisor.alive() - {part.name for part in wanted})
    old = [name for name in others if name in known and not programs.is_current(settings, known[name])]
    if old:
        say(f"{', '.join(old)} still run with their former settings; `make up` restarts them with the current ones")
    for name in others:
        if name in FORMER_NAMES:
            say(f"{name} still runs under its former name; `make up` restarts it as {FORMER_NAMES[name]}")
        elif name not in known:
            say(f"{name} still runs, but is no longer a part; `make down` stops it")


def _stop_again(supervisor: Supervisor, started: list[Part]) -> None:
    for part in started:
        supervisor.stop(part.name)


def _stop(settings: Settings, supervisor: Supervisor) -> int:
    """Stops the stack through its supervisor, then any processes that outlive it; returns how many there were."""
    before = processes(settings)
    if supervisor.pid() is not None:
        supervisor.shutdown()
        deadline = time.monotonic() + STOP_SECONDS
        while supervisor.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
    stop_strays(settings, before)
    settings.socket.unlink(missing_ok=True)
    (settings.home / "supervisord.pid").unlink(missing_ok=True)
    return len(before)
