"""Notifications as episodes: what began and, later, ended is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitoring.courier.payload import LINK_LABELS, WATCHDOG, unix_time
from monitoring.courier.store import Notification


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
    grouped: dict[tuple[str, str], list[Notification]] = {}
    for notification in notifications:
        if notification.alert.name != WATCHDOG:
            grouped.setdefault((notification.alert.fingerprint, notification.alert.starts_at), []).append(notification)
    found = [_episode(told) for told in grouped.values()]
    return sorted(found, key=lambda episode: episode.started, reverse=True)


def subject(labels: Mapping[str, str]) -> str:
    """Whom an alert is about: its labels without what every alert has, ``model=mlp run_id=…``."""
    hidden = {"alertname", "severity", "area", "rests_on", *LINK_LABELS}
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in hidden)


def _episode(told: list[Notification]) -> Episode:
    latest = max(told, key=lambda notification: notification.last_seen).alert
    ended = [unix_time(one.alert.ends_at) for one in told if one.alert.ends_at]
    return Episode(
        latest.name,
        latest.labels,
        latest.annotations,
        latest.started,
        ended[0] if ended else None,
        max(one.last_seen for one in told),
        sum(one.times for one in told),
    )
