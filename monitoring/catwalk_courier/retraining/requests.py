"""Which alerts ask for a retraining: those with the label ``retrain="yes"``, for as long as they fire."""

from __future__ import annotations

import hashlib
import json
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
    """What is asked for now."""

    firing: Mapping[str, list[Fired]] = field(default_factory=dict)
    """Model → the alerts that fire for it, the oldest first."""
    error: CatwalkError | None = None
    """Why nobody knows what fires; None: what is not there has ended."""


def asking() -> Requests:
    """What Alertmanager says. What it has told the courier before may have ended since, or be silenced.

    An alert that is silenced or inhibited asks for nothing.
    """
    try:
        active = alertmanager.active_alerts(part_url("alertmanager"))
    except alertmanager.AlertmanagerError as error:
        return Requests(error=error)
    return Requests(_by_model((one.labels, unix_time(one.started)) for one in active if one.state == "active"))


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
                continue  # it asks for a retraining of nothing
            yield model, Fired(labels.get("alertname", ""), _fingerprint(labels), began)


def _fingerprint(labels: Mapping[str, str]) -> str:
    """Tells an alert from others, whoever says what its labels are."""
    own = {name: value for name, value in labels.items() if name not in LINK_LABELS}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]
