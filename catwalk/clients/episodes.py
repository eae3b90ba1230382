"""Notifications of alerts, and the episodes made from them.

An alert from its start to its end is one episode; if it fires again after its end, another episode begins. The courier
keeps notifications, and serves them through its API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

WATCHDOGS = ("Watchdog", "CatwalkWatchdog")
"""Alerts that are always firing: in our own Prometheus, and in others (`catwalk bundle`) that have a Watchdog already.
"""
LINK_LABELS = ("stack", "runbooks", "grafana", "exporter", "registry")
"""Labels on every alert that Prometheus adds, or that links use: they don't describe it. `registry` is an earlier label
of the exporter.
"""

Status = Literal["firing", "resolved"]
_SEEN = ("began", "first_seen", "last_seen", "times")


@dataclass(frozen=True)
class Alert:
    """One alert of a notification. Fingerprint and start identify it; it may end and fire again."""

    fingerprint: str
    starts_at: str
    """In Alertmanager's format, RFC 3339."""
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: str = ""
    """Empty while it is firing."""
    generator_url: str = ""

    @property
    def name(self) -> str:
        """The alert rule's name."""
        return self.labels.get("alertname", "")

    @property
    def started(self) -> float:
        """Unix time at which it started."""
        return unix_time(self.starts_at)


@dataclass(frozen=True)
class Notification:
    """An alert, and how often it was notified."""

    alert: Alert
    began: float
    """Unix time at which its episode began. Alertmanager may report an alert as firing again after its end, with the
    same start: that is a new episode, which began with that report.
    """
    first_seen: float
    last_seen: float
    times: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self.alert), **{name: getattr(self, name) for name in _SEEN}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Notification:
        """Inverse of :meth:`to_dict`; additional fields of a newer courier are left out."""
        alert = {one.name: values[one.name] for one in fields(Alert) if one.name in values}
        return cls(Alert(**alert), *(values[name] for name in _SEEN))


@dataclass(frozen=True)
class Episode:
    """One alert from its start to its end."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started: float
    """Unix time."""
    ended: float | None
    """Unix time; None while it is firing."""
    last_seen: float
    """Unix time of Alertmanager's last notification."""
    times: int
    """The number of notifications."""

    @property
    def severity(self) -> str:
        """critical, warning, info, or the rule's own severity."""
        return self.labels.get("severity", "")


def episodes(notifications: Iterable[Notification]) -> list[Episode]:
    """The episodes, newest start first, without the Watchdog."""
    grouped: dict[str, dict[float, list[Notification]]] = {}
    for notification in notifications:
        if notification.alert.name not in WATCHDOGS:
            alert = grouped.setdefault(notification.alert.fingerprint, {})
            alert.setdefault(notification.began, []).append(notification)
    found = []
    for alert in grouped.values():
        began = sorted(alert)
        # An alert fires only once at a time: if its end was never reported, it ended before its next start.
        for start, latest_end in zip(began, [*began[1:], None], strict=True):
            found.append(_episode(alert[start], latest_end))
    return sorted(found, key=lambda episode: episode.started, reverse=True)


def unix_time(text: str) -> float:
    """Unix time of an RFC 3339 timestamp.

    Raises:
        ValueError: The text is not a timestamp.
    """
    return datetime.fromisoformat(text).timestamp()


def subject(labels: Mapping[str, str]) -> str:
    """The subject of an alert: its labels without those of every alert, ``model=churn run_id=…``."""
    hidden = {"alertname", "severity", "area", *LINK_LABELS}
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in hidden)


def _episode(notified: list[Notification], latest_end: float | None) -> Episode:
    latest = max(notified, key=lambda notification: notification.last_seen)
    ended = [unix_time(one.alert.ends_at) for one in notified if one.alert.ends_at]
    return Episode(
        latest.alert.name,
        latest.alert.labels,
        latest.alert.annotations,
        latest.began,
        # It may have ended before a notification that it is firing again.
        max(latest.began, *ended) if ended else latest_end,
        max(one.last_seen for one in notified),
        sum(one.times for one in notified),
    )
