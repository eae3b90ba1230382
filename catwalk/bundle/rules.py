"""Prometheus' rules for a guest: links filled in, labels set, and only those that watch Catwalk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from catwalk.assets import drift_windows
from catwalk.assets.drift_windows import USUAL, DriftWindows
from catwalk.bundle import blocks
from catwalk.bundle.options import SCRAPE_SECONDS, STACK, Options
from catwalk.bundle.promql import Scope, rewritten
from catwalk.clients.episodes import WATCHDOGS
from catwalk.errors import ConfigError

_, WATCHDOG = WATCHDOGS
_RENAMED = {"Watchdog": WATCHDOG, "TargetDown": "CatwalkTargetDown"}
"""Alerts that kube-prometheus also has. A guest may already route its own Watchdog to an external monitor."""
_INTERVAL = f"{SCRAPE_SECONDS}s"
"""The interval of our rules, whatever that of the guest's Prometheus."""
_OWN_STACK = ("telemetry_statsd", "telemetry_stack")
"""The groups of alerts that watch Catwalk's own servers."""
_PRINTED_QUERY = re.compile(r'printf "([^"]+)"(?=[^{}]*\| query)')
_OF_ANY_SENDER = ("StatsdUnmappedEvents", "StatsdConflicts", "StatsdLinesLost")
"""Alerts that don't show who sent a line."""

Rule = dict[str, Any]
Group = dict[str, Any]


@dataclass(frozen=True)
class RuleFile:
    """One file of rules."""

    name: str
    groups: list[Group]

    @property
    def rules(self) -> Iterator[Rule]:
        """The rules of all its groups."""
        for group in self.groups:
            yield from group["rules"]

    @property
    def alerts(self) -> set[str]:
        """The names of its alerts."""
        return {rule["alert"] for rule in self.rules if "alert" in rule}


def alert_name(ours: str) -> str:
    """Returns the name in a bundle of an alert of our own stack."""
    return _RENAMED.get(ours, ours)


def committed(windows: DriftWindows = USUAL) -> list[RuleFile]:
    """Returns the rules of our own stack, with these windows of drift."""
    return [RuleFile(path.name, yaml.safe_load(windows.rules(path))["groups"]) for path in drift_windows.files()]


def scope(options: Options, files: list[RuleFile]) -> Scope:
    """Returns which series are ours in that Prometheus."""
    records = {rule["record"] for file in files for rule in file.rules if "record" in rule}
    return Scope(options.labels, options.scraped, records)


def rendered(options: Options) -> list[RuleFile]:
    """Returns all files, without rules that are only about the guest's own servers.

    Raises:
        ConfigError: a threshold is set that does not exist.
    """
    files = committed(options.windows)
    ours = scope(options, files)
    thresholds = _chosen(options.thresholds, files)
    return [RuleFile(file.name, list(_groups(file, options, ours, thresholds))) for file in files]


def dump(file: RuleFile, head: str) -> str:
    """Returns the file for Prometheus, with a comment at the top."""
    return f"{head}\n{blocks.dump({'groups': file.groups})}"


def _groups(file: RuleFile, options: Options, ours: Scope, thresholds: Mapping[str, float]) -> Iterator[Group]:
    for group in file.groups:
        wanted = [rule for rule in group["rules"] if _is_wanted(rule, group["name"], options)]
        kept = [made for rule in wanted if (made := _rule(rule, options, ours, thresholds))]
        if kept:
            yield {"name": f"catwalk_{group['name']}", "interval": group.get("interval", _INTERVAL), "rules": kept}


def _is_wanted(rule: Rule, group: str, options: Options) -> bool:
    name = rule.get("alert", "")
    if not name:
        return True
    if name == "Watchdog":
        return bool(options.courier_url)  # which makes a callout when the Watchdog stops
    return (options.own_stack or group not in _OWN_STACK) and not (options.shared_statsd and name in _OF_ANY_SENDER)


def _rule(rule: Rule, options: Options, ours: Scope, thresholds: Mapping[str, float]) -> Rule | None:
    name = rule.get("record", "")
    expression = f"vector({thresholds[name]:.15g})" if name in thresholds else rewritten(rule["expr"], ours)
    if expression is None:
        return None
    if name:
        return {"record": name, "expr": expression, **({"labels": dict(options.labels)} if options.labels else {})}
    links = {"runbooks": "", "grafana": options.grafana_url, "exporter": options.exporter_url}
    labels, annotations = (
        {key: _text(text, links, options, ours) for key, text in rule[field].items()}
        for field in ("labels", "annotations")
    )
    return {
        **rule,
        "alert": alert_name(rule["alert"]),
        "expr": expression,
        "labels": {**labels, **options.labels, STACK[0]: STACK[1]},
        "annotations": {**annotations, "runbook_url": options.runbook(rule["alert"])},
    }


def _text(text: str, links: Mapping[str, str], options: Options, ours: Scope) -> str:
    """Returns a label or an annotation with its links, dashboards, job names and queries adapted."""
    for name, url in links.items():
        text = re.sub(rf"\{{\{{ \$externalLabels\.{name} \}}\}}", url, text)
    text = re.sub(r"/d/(catwalk-\w+)", rf"/d/\1{options.suffix}", text)
    text = re.sub(r'(?<=\$labels\.job )"(\w+)"', lambda job: f'"{options.scraped.get(job[1], job[1])}"', text)
    text = _PRINTED_QUERY.sub(lambda asked: f"printf `{_query(asked[1], ours)}`", text)
    return re.sub(r'query "([^"]+)"', lambda asked: f"query `{_query(asked[1], ours)}`", text)


def _query(text: str, ours: Scope) -> str:
    """Returns a query of a template, in one line; a quoted argument of printf may replace a label's value."""
    printed = rewritten(text.replace("%[1]q", '"%[1]q"'), ours) or "vector(0)"
    return " ".join(printed.split()).replace('"%[1]q"', "%[1]q")


def _chosen(values: Mapping[str, float], files: list[RuleFile]) -> dict[str, float]:
    """Returns the values to set, by name of the record."""
    records = [
        rule["record"] for file in files for rule in file.rules if rule.get("record", "").startswith("threshold:")
    ]
    known = {_short(record, records): record for record in records}
    for name in values:
        if name not in known:
            raise ConfigError(f"--threshold {name} is not one of the thresholds, which are {', '.join(sorted(known))}")
    return {known[name]: value for name, value in values.items()}


def _short(record: str, records: list[str]) -> str:
    """Returns a short name such as ``runs_blocked``, with its operation if several have the same name."""
    _, name, operation = record.split(":")
    return name if sum(other.split(":")[1] == name for other in records) == 1 else f"{name}:{operation}"
