"""The same stories when each model has an owner: its alerts name the owner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tests.prometheus.scenario import Alert, Expectation, Scenario

_FAMILY, _HELD = "catwalk_model_info", "exporter:model_info:held"
_INFO = re.compile(rf'({_FAMILY}\{{.*\bmodel="([^"]+)".*)\}}')


def owner_of(model: str) -> str:
    """The model's owner: a name that is more than one ASCII word."""
    return f"équipe {model}"


def owned(story: Scenario) -> Scenario:
    """The story with an owner for each model that the exporter knows."""
    known = {found[2] for name in story.series if (found := _INFO.fullmatch(name))}
    told = {_with_owner(name): values for name, values in story.series.items()}
    return replace(story, series=told, expect=tuple(_of_known(check, known) for check in story.expect))


def _with_owner(name: str) -> str:
    found = None if 'owner="' in name else _INFO.fullmatch(name)
    return f'{found[1]},owner="{owner_of(found[2])}"}}' if found else name


def _with_owners(samples: Mapping[str, float]) -> dict[str, float]:
    """What is recorded of the exporter's series has their labels."""
    return {_with_owner(f"{_FAMILY}{labels}").removeprefix(_FAMILY): value for labels, value in samples.items()}


def _of_known(check: Expectation, known: set[str]) -> Expectation:
    if check.alerts is None:
        return replace(check, samples=_with_owners(check.samples or {})) if check.tested == _HELD else check
    alerts = (_of_owner(alert) if alert.labels.get("model") in known else alert for alert in check.alerts)
    return replace(check, alerts=tuple(alerts))


def _of_owner(alert: Alert) -> Alert:
    return replace(alert, labels={**alert.labels, "owner": owner_of(alert.labels["model"])})
