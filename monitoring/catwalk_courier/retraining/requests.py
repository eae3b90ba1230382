"""The alerts that request a retraining: those with the label ``retrain="yes"``, for as long as they are firing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from catwalk.clients import alertmanager
from catwalk.clients.episodes import LINK_LABELS, unix_time
from catwalk.environment.parts import part_url
from catwalk.errors import CatwalkError, ConfigError
from catwalk.ledger import model_names
from catwalk.retraining.events import Fired

LABEL, VALUE = "retrain", "yes"


@dataclass(frozen=True)
class Requests:
    """The current requests."""

    firing: Mapping[str, list[Fired]] = field(default_factory=dict)
    """Model → the alerts that are firing for it, the oldest first."""
    error: CatwalkError | None = None
    """Why Alertmanager does not say what is firing; None: it does."""
    unsure: str = ""
    """Why an alert that is not among these may be firing all the same; empty: it has ended."""


def asking(warmup_seconds: float) -> Requests:
    """The requests that Alertmanager has. Alerts of earlier notifications may have ended since, or be silenced.

    A silenced or inhibited alert requests nothing.

    Args:
        warmup_seconds: How long Prometheus may take to send its alerts to an Alertmanager that has just started.
    """
    url = part_url("alertmanager")
    try:
        active = alertmanager.active_alerts(url)
        # Asked last: a restart in between makes a full list uncertain, never an empty one certain.
        is_new = time.time() - alertmanager.started(url) < warmup_seconds
    except alertmanager.AlertmanagerError as error:
        return Requests(error=error, unsure=f"{error}; the alert may still be firing")
    firing = _by_model((one.labels, unix_time(one.started)) for one in active if one.state == "active")
    return Requests(firing, unsure=_NEW.format(warmup_seconds) if is_new else "")


_NEW = "Alertmanager started less than {:g} s ago, and may not have the alert yet"


def _by_model(alerts: Iterable[tuple[Mapping[str, str], float]]) -> dict[str, list[Fired]]:
    found: dict[str, list[Fired]] = {}
    for model, fired in sorted(_requests(alerts), key=lambda one: one[1].began):
        found.setdefault(model, []).append(fired)
    return found


def _requests(alerts: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[tuple[str, Fired]]:
    for labels, began in alerts:
        if labels.get(LABEL) == VALUE:
            try:
                model = model_names.checked(labels.get("model"))
            except ConfigError:
                continue  # it names no model
            yield model, Fired(labels.get("alertname", ""), _fingerprint(labels), began)


def _fingerprint(labels: Mapping[str, str]) -> str:
    """Identifies an alert by its own labels, without those that Prometheus adds for links."""
    own = {name: value for name, value in labels.items() if name not in LINK_LABELS}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]
