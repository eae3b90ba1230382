"""Tells the alarm chain that a stop is planned, and when it is over."""

from __future__ import annotations

from collections.abc import Callable

from catwalk.clients.planned_work import Chain
from catwalk.errors import CatwalkError
from stack.native.supervisor import Supervisor
from stack.parts.health import monitoring_password
from stack.settings import Settings

PLANNED_SECONDS = 600.0
"""For so long nobody is told of a stop that was announced; the next start ends it sooner."""


def announce_stop(settings: Settings, supervisor: Supervisor, say: Callable[[str], None]) -> None:
    """Planned work wakes nobody: a silence in Alertmanager, which remembers it, and a word to the dead-man watch."""
    chain = _chain(settings, {name for name, state in supervisor.states().items() if state == "RUNNING"})
    try:
        chain.announce(PLANNED_SECONDS, "The stack was stopped on purpose; the next start ends this silence.")
        if chain.alertmanager_url:
            say(f"told Alertmanager: silence for {PLANNED_SECONDS / 60:.0f} minutes, or until the next start")
    except CatwalkError as error:
        say(f"stops unannounced: {error}")


def end_stop(settings: Settings, started: set[str], say: Callable[[str], None]) -> None:
    """From now on alerts are told again; a stop that was announced is over."""
    try:
        _chain(settings, started).end()
    except CatwalkError as error:
        say(f"the silence of the last planned stop may still hold: {error}")


def _chain(settings: Settings, parts: set[str]) -> Chain:
    """Whom to tell of planned work, of the parts that run."""
    url = {name: settings.url(name) if name in parts else "" for name in ("alertmanager", "courier")}
    return Chain(url["alertmanager"], url["courier"], monitoring_password(settings))
