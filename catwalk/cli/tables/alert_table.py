"""How ``catwalk alerts`` shows firing alerts and the notification history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from catwalk.cli.tables.output import duration
from catwalk.clients.alertmanager import ActiveAlert
from catwalk.clients.episodes import WATCHDOGS, Episode, subject, unix_time

_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def firing(alerts: Sequence[ActiveAlert], now: float) -> RenderableType:
    """The firing alerts; the Watchdog only if it is missing."""
    rows = [alert for alert in alerts if alert.labels.get("alertname") not in WATCHDOGS]
    parts: list[RenderableType] = []
    if len(rows) == len(alerts):
        parts.append("[yellow]no Watchdog: Prometheus has just started, or doesn't reach Alertmanager[/]")
    if not rows:
        return Group(*parts, "no alerts are firing")
    table = _table("severity", "alert", "for", "state")
    for alert in rows:
        severity = alert.labels.get("severity", "")
        state = alert.state if alert.state == "active" else f"[dim]{alert.state}[/]"
        since = duration(max(0.0, now - unix_time(alert.started)))
        name = alert.labels.get("alertname", "")
        table.add_row(_coloured(severity), escape(name), since, state, _what(alert.annotations, alert.labels))
    return Group(*parts, table)


def history(recorded: Iterable[Episode]) -> RenderableType:
    """The episodes that the courier recorded, newest first."""
    rows = list(recorded)
    if not rows:
        return "no notifications yet"
    table = _table("began (UTC)", "severity", "alert", "lasted")
    for episode in rows:
        lasted = "fires" if episode.ended is None else duration(episode.ended - episode.started)
        began = f"{datetime.fromtimestamp(episode.started, UTC):%Y-%m-%d %H:%M}"
        what = _what(episode.annotations, episode.labels)
        table.add_row(began, _coloured(episode.severity), escape(episode.name), lasted, what)
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    table.add_column("what", overflow="fold")
    return table


def _coloured(severity: str) -> str:
    return f"[{_COLOURS.get(severity, 'default')}]{escape(severity or '-')}[/]"


def _what(annotations: Any, labels: Any) -> str:
    about = subject(labels)
    return escape(annotations.get("summary", "")) + (f"\n[dim]{escape(about)}[/]" if about else "")
