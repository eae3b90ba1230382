"""Callouts in the formats of the services: chat, pagers and a webhook.

Services that keep an incident open get a test as an incident that is resolved at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from catwalk.notifications.receivers import Pager, Telegram
from catwalk_courier.delivery.transports import post
from catwalk_courier.payload import VERSION

ALERT = "WatchdogSilent"
"""The name of the alert that webhooks get."""
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
OPSGENIE_URL = "https://api.opsgenie.com/"
TELEGRAM_URL = "https://api.telegram.org"

Content = Mapping[str, Any]
"""The result of :func:`catwalk_courier.delivery.callout.message`."""


def slack(url_file: Path, content: Content) -> None:
    """Sends a message through an incoming webhook of Slack."""
    post(_held(url_file), {"text": f"*{content['subject']}*\n{content['text']}"})


def discord(url_file: Path, content: Content) -> None:
    """Sends a message through a webhook of Discord, which accepts 2,000 characters."""
    post(_held(url_file), {"content": f"**{content['subject']}**\n{content['text']}"[:2000]})


def teams(url_file: Path, content: Content) -> None:
    """Sends an adaptive card through a workflow of Microsoft Teams."""
    title = {"type": "TextBlock", "text": content["subject"], "weight": "Bolder", "size": "Medium", "wrap": True}
    text = {"type": "TextBlock", "text": content["text"], "wrap": True}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [title, text],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    post(_held(url_file), {"type": "message", "attachments": [attachment]})


def telegram(chat: Telegram, content: Content) -> None:
    """Sends a message through a Telegram bot."""
    url = f"{TELEGRAM_URL}/bot{_held(chat.token_file)}/sendMessage"
    post(url, {"chat_id": int(_held(chat.chat_file)), "text": f"{content['subject']}\n{content['text']}"})


def pagerduty(pager: Pager, content: Content) -> None:
    """Triggers or resolves an incident through PagerDuty's Events API v2."""
    for firing in _states(content):
        event: dict[str, Any] = {
            "routing_key": _held(pager.key_file),
            "event_action": "trigger" if firing else "resolve",
            "dedup_key": _identity(content),
        }
        if firing:
            details = {"text": content["text"]}
            event["payload"] = {
                "summary": content["subject"],
                "source": content["runbook_url"],
                "severity": "critical",
                "custom_details": details,
            }
        post(pager.url or PAGERDUTY_URL, event)


def opsgenie(pager: Pager, content: Content) -> None:
    """Opens or closes an alert in Opsgenie."""
    base, alias = (pager.url or OPSGENIE_URL).rstrip("/"), _identity(content)
    key = f"GenieKey {_held(pager.key_file)}"
    for firing in _states(content):
        if firing:
            alert = {"message": content["subject"][:130], "description": content["text"], "priority": "P1"}
            post(f"{base}/v2/alerts", {**alert, "alias": alias, "source": "Catwalk"}, Authorization=key)
        else:
            post(f"{base}/v2/alerts/{alias}/close?identifierType=alias", {"source": "Catwalk"}, Authorization=key)


def webhook(url_file: Path, content: Content) -> None:
    """Sends a notification in Alertmanager's format, for webhooks that accept it."""
    for firing in _states(content):
        post(_held(url_file), as_alert(content, firing))


def _held(path: Path) -> str:
    return path.read_text().strip()


def _states(content: Content) -> Iterator[bool]:
    """Yields one value per message that the event needs: whether the alert is firing."""
    if content["event"] != "recovered":
        yield True
    if content["event"] != "silent":
        yield False


def _identity(content: Content) -> str:
    """Returns the same key for the start and the end of one courier's callout; a test has a different one."""
    text = f"{ALERT} {content['runbook_url']} {content['event'] == 'test'}"
    return f"catwalk-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def as_alert(content: Content, firing: bool) -> dict[str, Any]:
    """Returns a notification in Alertmanager's format, version 4, with one alert."""
    name = "TestNotification" if content["event"] == "test" else ALERT
    labels = {"alertname": name, "severity": "critical", "area": "telemetry"}
    annotations = {
        "summary": content["subject"].partition(": ")[2],
        "description": content["text"],
        "runbook_url": content["runbook_url"],
    }
    alert = {
        "status": "firing" if firing else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": content["time"],
        "endsAt": "0001-01-01T00:00:00Z" if firing else content["time"],
        "generatorURL": "",
        "fingerprint": name,
    }
    return {
        "version": VERSION,
        "groupKey": name,
        "truncatedAlerts": 0,
        "status": alert["status"],
        "receiver": "courier",
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }
