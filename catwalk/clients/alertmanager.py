"""Alertmanager's HTTP API: what fires, and silences for planned work."""

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
"""Whose silences these are, so that the next start finds them."""


class AlertmanagerError(CatwalkError):
    """Alertmanager did not answer, or refused."""


@dataclass(frozen=True)
class ActiveAlert:
    """An alert that fires."""

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
    """What fires now, the worst first, then the newest; the Watchdog too.

    Raises:
        AlertmanagerError: it does not say.
    """
    found = [
        ActiveAlert(alert["labels"], alert["annotations"], alert["startsAt"], _state(alert["status"]))
        for alert in _ask(f"{url}/api/v2/alerts")
    ]
    newest = sorted(found, key=lambda alert: alert.started, reverse=True)
    ranks = {"critical": 0, "warning": 1, "info": 2}
    return sorted(newest, key=lambda alert: (alert.state != "active", ranks.get(alert.labels.get("severity", ""), 3)))


def post(url: str, labels: Mapping[str, str], annotations: Mapping[str, str], began: float, until: float) -> None:
    """An alert, as Prometheus would post it, from one Unix time to another.

    Raises:
        AlertmanagerError: it was not taken.
    """
    start, end = (datetime.fromtimestamp(seconds, UTC).isoformat() for seconds in (began, until))
    alert = {"labels": dict(labels), "annotations": dict(annotations), "startsAt": start, "endsAt": end}
    _ask(f"{url}/api/v2/alerts", "POST", [alert])


def configuration(url: str) -> str:
    """The configuration that runs, as YAML, without secrets.

    Raises:
        AlertmanagerError: it does not say.
    """
    return str(_ask(f"{url}/api/v2/status")["config"]["original"])


def started(url: str) -> float:
    """Unix time at which it started; it knows nothing of the alerts of before.

    Raises:
        AlertmanagerError: it does not say.
    """
    try:
        return unix_time(_ask(f"{url}/api/v2/status")["uptime"])
    except (KeyError, TypeError, ValueError) as error:
        raise AlertmanagerError(f"{url} does not say when it started; is it Alertmanager 0.16 or newer?") from error


class Tries(NamedTuple):
    """Of notifications, since Alertmanager started."""

    made: float
    failed: float


def sent(url: str) -> dict[tuple[str, str], Tries]:
    """Receiver and integration, such as `everybody` and `email` → tries. Without its feature
    receiver-name-in-metrics, Alertmanager does not tell receivers apart: all are empty.

    Raises:
        AlertmanagerError: it does not say.
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
    """Announces planned work: no alert is told for so long. It takes the place of what was announced before.

    Args:
        url: Alertmanager's.
        seconds: how long.
        reason: for whoever looks at the silence.
        password: default `CATWALK_MONITORING_PASSWORD`.

    Raises:
        AlertmanagerError: it was not heard.
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
    """Ends what :func:`silence_all` has begun; returns how many silences that were.

    Raises:
        AlertmanagerError: it does not answer.
    """
    ours = _planned(url, password)
    _expire(url, ours, password)
    return len(ours)


def _planned(url: str, password: str | None) -> list[str]:
    """Ids of the silences of planned work that hold."""
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
