"""The committed rules, and what each of them relies on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml

from stack.settings import PROJECT

RULES = PROJECT / "prometheus" / "rules"
RUNBOOKS = PROJECT / "prometheus" / "runbooks"
_ALERTS = re.compile(r'ALERTS\{alertname="(\w+)"')
_RECORDED = re.compile(r"\b[a-z]\w*:\w+:\w+")


@dataclass(frozen=True)
class Rule:
    """One alert or recording rule."""

    file: str
    group: str
    body: dict[str, Any]
    """As in the file."""

    @property
    def is_alert(self) -> bool:
        return "alert" in self.body

    @property
    def name(self) -> str:
        return str(self.body.get("alert") or self.body["record"])

    @property
    def expression(self) -> str:
        return str(self.body["expr"])

    @property
    def severity(self) -> str:
        return str(self.body["labels"]["severity"])

    @property
    def fixed_labels(self) -> dict[str, str]:
        """Labels that all its alerts have: those that hang on the moment are left out."""
        labels: dict[str, str] = self.body.get("labels", {})
        return {name: value for name, value in labels.items() if "{{" not in value}

    @property
    def uses(self) -> set[str]:
        """Recorded series, and alerts, that the expression, the labels or the annotations read."""
        texts = (*self.body.get("labels", {}).values(), *self.body.get("annotations", {}).values())
        text = " ".join([self.expression, *texts])
        return set(_RECORDED.findall(text) + _ALERTS.findall(text))

    @property
    def title(self) -> str:
        """Name, and the severity where several alerts have one name."""
        return f"{self.name} ({self.severity})" if self.is_alert else self.name

    def changed(self, **changes: Any) -> Rule:
        """The same rule with other fields; None takes a field away."""
        body = {name: value for name, value in {**self.body, **changes}.items() if value is not None}
        return replace(self, body=body)


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order of files and lines; thresholds and recording rules come before alerts."""
    found = []
    for path in sorted(RULES.glob("*.yml"), key=lambda path: (path.stem.endswith(".alerts"), path.name)):
        for group in yaml.safe_load(path.read_text())["groups"]:
            found += [Rule(path.name, group["name"], body) for body in group["rules"]]
    return tuple(found)


def alerts() -> list[Rule]:
    """Those that are alerts."""
    return [rule for rule in rules() if rule.is_alert]


def records() -> list[Rule]:
    """Those that record a series."""
    return [rule for rule in rules() if not rule.is_alert]


def names(of: Iterable[Rule]) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(rule.name for rule in of))


@cache
def needed_for(name: str) -> tuple[Rule, ...]:
    """The rules of this name and all that they rely on, in the order in which they must be evaluated."""
    wanted, new = {name}, {name}
    while new:
        new = {used for rule in rules() if rule.name in new for used in rule.uses} - wanted
        wanted |= new
    chosen = [rule for rule in rules() if rule.name in wanted]
    ordered: list[Rule] = []
    while chosen:
        waiting = {rule.name for rule in chosen}
        ready = [rule for rule in chosen if not (rule.uses - {rule.name}) & waiting]
        ordered += ready
        chosen = [rule for rule in chosen if rule not in ready]
    return tuple(ordered)


def users_of(name: str) -> list[str]:
    """Names of the alerts and records whose expressions read this series themselves."""
    return names(rule for rule in rules() if name in rule.uses and rule.name != name)


def dump(chosen: Iterable[Rule]) -> str:
    """A rules file with one group that has them in this order."""
    return json.dumps({"groups": [{"name": "tested", "rules": [rule.body for rule in chosen]}]}, indent=1)
