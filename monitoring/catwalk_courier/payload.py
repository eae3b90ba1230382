"""The payload of Alertmanager's webhook, version 4."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from catwalk.clients.episodes import Alert, unix_time

VERSION = "4"


@dataclass(frozen=True)
class Message:
    """A notification."""

    alerts: list[Alert]
    group: str
    """Alertmanager's group that sent it: its receiver and key; empty if unknown."""


def parse(body: bytes) -> Message:
    """Parses a notification.

    Raises:
        ValueError: it is not a notification; the message is one line.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(message, dict) or message.get("version") != VERSION:
        raise ValueError(f'this is not a notification of Alertmanager, version "{VERSION}"')
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        raise ValueError("the notification has no list of alerts")
    group = "".join(str(message[name]) for name in ("receiver", "groupKey") if message.get("groupKey"))
    return Message([_alert(alert) for alert in alerts], group)


def _alert(value: Any) -> Alert:
    if not isinstance(value, dict):
        raise ValueError("an alert is not an object")
    fingerprint, starts_at, status = value.get("fingerprint"), value.get("startsAt"), value.get("status")
    labels, annotations = value.get("labels"), value.get("annotations", {})
    if not isinstance(fingerprint, str) or not fingerprint or status not in ("firing", "resolved"):
        raise ValueError("an alert has no fingerprint or no status")
    if not _strings(labels) or not _strings(annotations):
        raise ValueError("an alert's labels or annotations are not strings")
    try:
        assert isinstance(starts_at, str)
        unix_time(starts_at)
        ends_at = str(value.get("endsAt") or "") if status == "resolved" else ""
        if ends_at:
            unix_time(ends_at)
    except (AssertionError, ValueError, OverflowError):
        raise ValueError("an alert's startsAt or endsAt is not a timestamp") from None
    return Alert(fingerprint, starts_at, status, labels, annotations, ends_at, str(value.get("generatorURL") or ""))


def _strings(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
