"""Announces a planned stop to the alert chain, and its end."""

from __future__ import annotations

from collections.abc import Callable

from catwalk.clients.planned_work import Chain
from catwalk.errors import CatwalkError
from stack.native.supervisor import Supervisor
from stack.parts.health import monitoring_password
from stack.settings import Settings

PLANNED_SECONDS = 600.0
"""How long an announced stop sends no notifications; the next start ends it sooner."""


def announce_stop(settings: Settings, supervisor: Supervisor, say: Callable[[str], None]) -> None:
    """Announces planned work, so that it notifies no one: with a silence in Alertmanager, which remembers it, and to
    the dead-man watch.
    """
    chain = _chain(settings, {name for name, state in supervisor.states().items() if state == "RUNNING"})
    try:
        chain.announce(PLANNED_SECONDS, "The stack was stopped on purpose; the next start ends this silence.")
        if chain.alertmanager_url:
            say(f"Alertmanager is silenced for {PLANNED_SECONDS / 60:.0f} minutes, or until the next start")
    except CatwalkError as error:
        say(f"the stop could not be announced: {error}")


def end_stop(settings: Settings, started: set[str], say: Callable[[str], None]) -> None:
    """Ends an announced stop, so that alerts send notifications again."""
    try:
        _chain(settings, started).end()
    except CatwalkError as error:
        say(f"the silence of the last planned stop may still be active: {error}")


def _chain(settings: Settings, parts: set[str]) -> Chain:
    """Returns the running parts that need to know about planned work."""
    url = {name: settings.url(name) if name in parts else "" for name in ("alertmanager", "courier")}
    return Chain(url["alertmanager"], url["courier"], monitoring_password(settings))
