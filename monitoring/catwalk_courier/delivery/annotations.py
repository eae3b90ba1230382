"""Alerts as Grafana annotations: one when an alert starts, and one over its whole duration when it ends."""

from __future__ import annotations

import hashlib
from html import escape
from typing import Any

from catwalk.clients.episodes import Alert, unix_time
from catwalk.clients.grafana import Grafana, GrafanaRefusedError
from catwalk_courier.delivery.channel import RefusedError
from catwalk_courier.journal.store import Delivery

TAG = "catwalk"
"""The tag of all of Catwalk's annotations, which dashboards query."""


class Annotator:
    """Writes annotations for the store's deliveries."""

    def __init__(self, grafana: Grafana) -> None:
        self._grafana = grafana

    def __call__(self, delivery: Delivery) -> None:
        """Writes one annotation, only once: after an attempt with an unknown result, it checks first.

        Raises:
            RefusedError: Grafana will never accept it.
            GrafanaError: it could not be written this time.
        """
        values = dict(delivery.payload)
        began = values.pop("began", None)  # the first version stored none
        alert = Alert(**values)
        if delivery.attempts and self._grafana.annotated(identity(alert, began)):
            return
        try:
            self._grafana.annotate(**annotation(alert, began))
        except GrafanaRefusedError as error:
            raise RefusedError(str(error)) from error


def identity(alert: Alert, began: float | None) -> str:
    """Returns a tag that is unique to this annotation: to its alert, its episode, and the start or end of it."""
    parts = [alert.fingerprint, alert.starts_at, alert.status]
    if began is not None:
        parts += [repr(began), alert.ends_at]
    return f"{TAG}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def annotation(alert: Alert, began: float | None) -> dict[str, Any]:
    """Returns text, tags, start and end (Unix times) of an alert's annotation; `began` is when its episode began."""
    labels, notes = alert.labels, alert.annotations
    lines = [f"<b>{escape(alert.name)}</b> {escape(notes.get('summary', ''))}", escape(notes.get("description", ""))]
    if notes.get("runbook_url", "").startswith(("http://", "https://")):
        lines.append(f'<a href="{escape(notes["runbook_url"])}">What to do</a>')
    about = [labels.get(name, "") for name in ("severity", "area", "model", "run_id")]
    tags = [TAG, alert.name, alert.status, *about, identity(alert, began)]
    end = unix_time(alert.ends_at) if alert.ends_at else None
    return {
        "text": "<br>".join(line for line in lines if line),
        "tags": [tag for tag in tags if tag],
        "start": alert.started if began is None else began,
        "end": end,
    }
