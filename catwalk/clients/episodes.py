"""What people were told of: alerts, and episodes made of them.

What began and, later, ended is one episode; what fires after its end begins another. The courier keeps notifications,
and gives them to whoever asks its API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

WATCHDOGS = ("Watchdog", "CatwalkWatchdog")
"""Fires for ever: in our own Prometheus, and in somebody else's (`catwalk bundle`), who has a Watchdog already."""
LINK_LABELS = ("stack", "runbooks", "grafana", "exporter", "registry")
"""Labels that Prometheus gives every alert, where links begin: no news. `registry` is the exporter's of before."""

Status = Literal["firing", "resolved"]
_SEEN = ("began", "first_seen", "last_seen", "times")


@dataclass(frozen=True)
class Alert:
    """One alert of a notification. Fingerprint and start tell it from all others; it may end and fire again."""

    fingerprint: str
    starts_at: str
    """As Alertmanager writes it, RFC 3339."""
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: str = ""
    """Empty while it fires."""
    generator_url: str = ""

    @property
    def name(self) -> str:
        """The alert rule's name."""
        return self.labels.get("alertname", "")

    @property
    def started(self) -> float:
        """Unix time at which it began."""
        return unix_time(self.starts_at)


@dataclass(frozen=True)
class Notification:
    """An alert, and how often it was told."""

    alert: Alert
    began: float
    """Unix time at which the episode began that it belongs to. Alertmanager may tell an alert as firing again after its
    end, with the same start: that is a new episode, which began when it was told."""
    first_seen: float
    last_seen: float
    times: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self.alert), **{name: getattr(self, name) for name in _SEEN}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Notification:
        """Of :meth:`to_dict`; what a newer courier says beside is left out."""
        alert = {one.name: values[one.name] for one in fields(Alert) if one.name in values}
        return cls(Alert(**alert), *(values[name] for name in _SEEN))


@dataclass(frozen=True)
class Episode:
    """One alert from its beginning to its end."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started: float
    """Unix time."""
    ended: float | None
    """Unix time; None while it fires."""
    last_seen: float
    """Unix time at which Alertmanager last told of it."""
    times: int
    """How often it did."""

    @property
    def severity(self) -> str:
        """critical, warning, info or what else its rule says."""
        return self.labels.get("severity", "")


def episodes(notifications: Iterable[Notification]) -> list[Episode]:
    """Newest beginning first; the Watchdog, which is no news, is left out."""
    grouped: dict[str, dict[float, list[Notification]]] = {}
    for notification in notifications:
        if notification.alert.name not in WATCHDOGS:
            alert = grouped.setdefault(notification.alert.fingerprint, {})
            alert.setdefault(notification.began, []).append(notification)
    found = []
    for alert in grouped.values():
        began = sorted(alert)
        # An alert fires once at a time: where its end was never told, it ended before its next beginning.
        for start, latest_end in zip(began, [*began[1:], None], strict=True):
            found.append(_episode(alert[start], latest_end))
    return sorted(found, key=lambda episode: episode.started, reverse=True)


def unix_time(text: str) -> float:
    """Unix time of an RFC 3339 timestamp.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text).timestamp()


def subject(labels: Mapping[str, str]) -> str:
    """Whom an alert is about: its labels without what every alert has, ``model=churn run_id=…``."""
    hidden = {"alertname", "severity", "area", *LINK_LABELS}
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in hidden)


def _episode(told: list[Notification], latest_end: float | None) -> Episode:
    latest = max(told, key=lambda notification: notification.last_seen)
    ended = [unix_time(one.alert.ends_at) for one in told if one.alert.ends_at]
    return Episode(
        latest.alert.name,
        latest.alert.labels,
        latest.alert.annotations,
        latest.began,
        # It may have ended before somebody was told that it fires again.
        max(latest.began, *ended) if ended else latest_end,
        max(one.last_seen for one in told),
        sum(one.times for one in told),
    )
