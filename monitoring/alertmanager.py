"""Alertmanager's HTTP API: what fires, and silences for planned work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ml.errors import CatwalkError
from monitoring import access

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


def silence_all(url: str, seconds: float, password: str | None = None) -> None:
    """Announces a planned stop: no alert is told for so long.

    Args:
        url: Alertmanager's.
        seconds: how long.
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
        "comment": "The stack was stopped on purpose; the next start ends this silence.",
    }
    _ask(f"{url}/api/v2/silences", "POST", silence, password)


def end_planned_silences(url: str, password: str | None = None) -> int:
    """Ends what :func:`silence_all` has begun; returns how many silences that were.

    Raises:
        AlertmanagerError: it does not answer.
    """
    ours = [
        silence["id"]
        for silence in _ask(f"{url}/api/v2/silences", password=password)
        if silence["createdBy"] == PLANNED_STOP and silence["status"]["state"] != "expired"
    ]
    for identifier in ours:
        _ask(f"{url}/api/v2/silence/{identifier}", "DELETE", password=password)
    return len(ours)


def _state(status: Mapping[str, Any]) -> str:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "active"


def _ask(url: str, method: str = "GET", body: Any = None, password: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    try:
        return json.loads(access.fetch(url, data, method, timeout=TIMEOUT, password=password) or b"null")
    except (OSError, ValueError) as error:
        base = url.partition("/api/")[0]
        raise AlertmanagerError(access.complaint("Alertmanager", base, "CATWALK_ALERTMANAGER_URL", error)) from error
