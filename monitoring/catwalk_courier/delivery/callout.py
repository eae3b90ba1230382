"""How the courier itself reaches people when the alert chain is broken: by command, e-mail, chat, pager or webhook.

It uses the same files as Alertmanager's receivers (those for everyone), and `CATWALK_CALLOUT_COMMAND`: a shell command
that gets the text on standard input, and `CATWALK_CALLOUT_EVENT` (`silent`, `recovered` or `test`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from catwalk.environment.parts import look_commands
from catwalk.notifications.receivers import Channels
from catwalk_courier.deadman import Event, Watch
from catwalk_courier.delivery import services
from catwalk_courier.delivery.transports import run_command, send_mail

Deliver = Callable[[Mapping[str, Any]], None]
"""Delivers a message; raises :class:`OSError` if it did not arrive."""


def message(event: Event, watch: Watch, url: str) -> dict[str, Any]:
    """Returns what to deliver: event, subject, text, and the time as RFC 3339."""
    since = None if watch.heard is None else datetime.fromtimestamp(watch.heard, UTC)
    if event == "recovered":
        subject = "Resolved: Catwalk's alert chain works again"
        text = "The Watchdog is heard again: alerts reach you."
    elif since is None:
        subject = "CRITICAL: Catwalk's alert chain was never heard"
        text = (
            f"The courier on {socket.gethostname()} has not heard the Watchdog once in {watch.silence:.0f} s. "
            "Prometheus or Alertmanager is down or can't reach the courier, so no alert reaches you. "
            f"Check with {look_commands()}."
        )
    else:
        subject = "CRITICAL: Catwalk's alert chain is silent"
        text = (
            f"The courier on {socket.gethostname()} last heard the Watchdog at {since:%Y-%m-%d %H:%M:%S} UTC. "
            "Prometheus or Alertmanager is down, so no alert reaches you. "
            f"Check with {look_commands()}."
        )
    return _content(event, subject, text, url)


def test_message(url: str) -> dict[str, Any]:
    """Returns the message of a test callout."""
    text = (
        f"This is a test of the callouts of the courier on {socket.gethostname()}. Nothing is wrong: "
        "you would get a message like this if the alert chain were silent."
    )
    return _content("test", "TEST: Catwalk's callout works", text, url)


def _content(event: Event | Literal["test"], subject: str, text: str, url: str) -> dict[str, Any]:
    runbook = f"{url}/runbooks/Watchdog"
    return {
        "event": event,
        "subject": subject,
        "text": f"{text}\nWhat to do: {runbook}",
        "runbook_url": runbook,
        "time": datetime.now(UTC).isoformat(),
    }


def ways(channels: Channels, environment: Mapping[str, str] = os.environ) -> dict[str, Deliver]:
    """Returns what delivers a message, by channel; empty if no channel is configured."""
    command = environment.get("CATWALK_CALLOUT_COMMAND", "").strip()
    found: dict[str, Deliver | None] = {
        "command": _with(run_command, command),
        "discord": _with(services.discord, channels.discord_url_file),
        "email": _with(send_mail, channels.email),
        "opsgenie": _with(services.opsgenie, channels.opsgenie),
        "pagerduty": _with(services.pagerduty, channels.pagerduty),
        "slack": _with(services.slack, channels.slack_url_file),
        "teams": _with(services.teams, channels.teams_url_file),
        "telegram": _with(services.telegram, channels.telegram),
        "webhook": _with(services.webhook, channels.webhook_url_file),
    }
    return {name: deliver for name, deliver in found.items() if deliver}


def _with(deliver: Callable[[Any, Mapping[str, Any]], None], channel: Any) -> Deliver | None:
    return (lambda content: deliver(channel, content)) if channel else None
