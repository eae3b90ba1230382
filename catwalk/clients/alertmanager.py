"""Alertmanager's HTTP API: firing alerts, and silences for planned work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from catwalk.clients import access
from catwalk.clients.episodes import unix_time
from catwalk.errors import CatwalkError

TIMEOUT = 5.0
PLANNED_STOP = "catwalk: planned stop"
"""The creator of these silences, so that the next start finds them."""


class AlertmanagerError(CatwalkError):
    """Alertmanager did not answer, or refused a request."""


@dataclass(frozen=True)
class ActiveAlert:
    """A firing alert."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started: str
    """RFC 3339."""
    state: str
    """active, silenced or inhibited."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def active_alerts(url: str) -> list[ActiveAlert]:
    """The firing alerts, including the Watchdog: the most severe first, then the newest.

    Raises:
        AlertmanagerError: It doesn't answer.
    """
    found = [
        ActiveAlert(alert["labels"], alert["annotations"], alert["startsAt"], _state(alert["status"]))
        for alert in _ask(f"{url}/api/v2/alerts")
    ]
    newest = sorted(found, key=lambda alert: alert.started, reverse=True)
    ranks = {"critical": 0, "warning": 1, "info": 2}
    return sorted(newest, key=lambda alert: (alert.state != "active", ranks.get(alert.labels.get("severity", ""), 3)))


def post(url: str, labels: Mapping[str, str], annotations: Mapping[str, str], began: float, until: float) -> None:
    """Posts an alert, like Prometheus, from one Unix time to another.

    Raises:
        AlertmanagerError: It was not accepted.
    """
    start, end = (datetime.fromtimestamp(seconds, UTC).isoformat() for seconds in (began, until))
    alert = {"labels": dict(labels), "annotations": dict(annotations), "startsAt": start, "endsAt": end}
    _ask(f"{url}/api/v2/alerts", "POST", [alert])


def configuration(url: str) -> str:
    """The running configuration, as YAML, without secrets.

    Raises:
        AlertmanagerError: It doesn't answer.
    """
    return str(_ask(f"{url}/api/v2/status")["config"]["original"])


def started(url: str) -> float:
    """Unix time at which it started. It doesn't know alerts from before that time.

    Raises:
        AlertmanagerError: It doesn't answer.
    """
    try:
        return unix_time(_ask(f"{url}/api/v2/status")["uptime"])
    except (KeyError, TypeError, ValueError) as error:
        raise AlertmanagerError(f"{url} does not say when it started; is it Alertmanager 0.16 or newer?") from error


class Tries(NamedTuple):
    """Attempts to send notifications, and failed ones, since Alertmanager started."""

    made: float
    failed: float


def sent(url: str) -> dict[tuple[str, str], Tries]:
    """Receiver and integration, such as `everybody` and `email` → attempts. Without its feature
    receiver-name-in-metrics, Alertmanager doesn't distinguish receivers, and their names are empty.

    Raises:
        AlertmanagerError: It doesn't answer.
    """
    made: dict[tuple[str, str], float] = {}
    failed = dict(made)
    kinds = {
        "alertmanager_notification_requests_total": made,
        "alertmanager_notification_requests_failed_total": failed,
    }
    for family in text_string_to_metric_families(_fetch(f"{url}/metrics").decode()):
        for sample in family.samples:
            if sample.name in kinds:
                way = sample.labels.get("receiver_name", ""), sample.labels["integration"]
                kinds[sample.name][way] = sample.value
    return {way: Tries(number, failed.get(way, 0)) for way, number in made.items()}


def silence_all(url: str, seconds: float, reason: str, password: str | None = None) -> None:
    """Announces planned work: silences all alerts for that time. It replaces an earlier announcement.

    Args:
        url: Alertmanager's URL.
        seconds: The duration.
        reason: Shown with the silence.
        password: Default: `CATWALK_MONITORING_PASSWORD`.

    Raises:
        AlertmanagerError: The request failed.
    """
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": ".+", "isRegex": True, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=seconds)).isoformat(),
        "createdBy": PLANNED_STOP,
        "comment": reason,
    }
    before = _planned(url, password)
    _ask(f"{url}/api/v2/silences", "POST", silence, password)
    _expire(url, before, password)


def end_planned_silences(url: str, password: str | None = None) -> int:
    """Ends the silences of :func:`silence_all`; returns their number.

    Raises:
        AlertmanagerError: It doesn't answer.
    """
    ours = _planned(url, password)
    _expire(url, ours, password)
    return len(ours)


def _planned(url: str, password: str | None) -> list[str]:
    """Ids of the active silences of planned work."""
    return [
        silence["id"]
        for silence in _ask(f"{url}/api/v2/silences", password=password)
        if silence["createdBy"] == PLANNED_STOP and silence["status"]["state"] != "expired"
    ]


def _expire(url: str, silences: list[str], password: str | None) -> None:
    for identifier in silences:
        _ask(f"{url}/api/v2/silence/{identifier}", "DELETE", password=password)


def _state(status: Mapping[str, Any]) -> str:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "active"


def _ask(url: str, method: str = "GET", body: Any = None, password: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    return _fetch(url, method, data, password, lambda answer: json.loads(answer or b"null"))


def _fetch(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    password: str | None = None,
    read: Callable[[bytes], Any] = bytes,
) -> Any:
    try:
        return read(access.fetch(url, data, method, timeout=TIMEOUT, password=password))
    except (OSError, ValueError) as error:
        base = url.partition("/api/")[0].removesuffix("/metrics")
        raise AlertmanagerError(access.complaint("Alertmanager", base, "CATWALK_ALERTMANAGER_URL", error)) from error
