"""Notifications as episodes: what began and, later, ended is one; what fires after its end begins another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catwalk_courier.payload import LINK_LABELS, WATCHDOG, unix_time
from catwalk_courier.store import Notification


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
        if notification.alert.name != WATCHDOG:
            alert = grouped.setdefault(notification.alert.fingerprint, {})
            alert.setdefault(notification.began, []).append(notification)
    found = []
    for alert in grouped.values():
        began = sorted(alert)
        # An alert fires once at a time: where its end was never told, it ended before its next beginning.
        for start, latest_end in zip(began, [*began[1:], None], strict=True):
            found.append(_episode(alert[start], latest_end))
    return sorted(found, key=lambda episode: episode.started, reverse=True)


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
