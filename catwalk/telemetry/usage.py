"""The users of a metric: rules and runbooks in ``prometheus``, dashboards in ``grafana/json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

_WORD = re.compile(r"[a-zA-Z_:][\w:]*")
_PATTERN = re.compile(r'__name__=~"([^"]+)"')


@dataclass(frozen=True)
class Reader:
    """A query, or a text that contains queries."""

    kind: Literal["record", "alert", "panel"]
    name: str
    """The name of the recorded series or of the alert, or the panel's title."""
    query: str
    dashboard: str = ""
    """The dashboard of a panel; a dashboard's variables and annotations count as panels."""

    def reads(self, name: str) -> bool:
        """Returns whether it uses this metric, by name or by a pattern. A pattern that matches any name doesn't count.

        In panels that read ``job:counter:growth``, a counter's name is a label value.
        """
        names = {name, *(f"{name}_{part}" for part in ("bucket", "sum", "count"))}
        matched = any(re.fullmatch(pattern, one) for pattern in self._patterns for one in names)
        return self.name != name and (matched or not names.isdisjoint(self._words))

    @cached_property
    def _patterns(self) -> list[str]:
        return [pattern for pattern in _PATTERN.findall(self.query) if ".+" not in pattern]

    @cached_property
    def _words(self) -> set[str]:
        return set(_WORD.findall(self.query))


def readers(project: Path) -> list[Reader]:
    """Returns all readers: rules first, then the queries in alerts and their runbooks, then dashboards.

    Args:
        project: The folder of the checkout.
    """
    rules = [rule for path in sorted((project / "prometheus" / "rules").glob("*.yml")) for rule in _rules(path)]
    runbooks = sorted((project / "prometheus" / "runbooks").glob("*.md"))
    rules += [Reader("alert", path.stem, path.read_text()) for path in runbooks]
    dashboards = sorted((project / "grafana" / "json").glob("*.json"))
    return rules + [query for path in dashboards for query in _queries(json.loads(path.read_text()))]


def _rules(path: Path) -> Iterator[Reader]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group["rules"]:
            kind: Literal["record", "alert"] = "record" if "record" in rule else "alert"
            asked = [rule["expr"], *re.findall(r'query "([^"]+)"', " ".join(rule.get("annotations", {}).values()))]
            yield Reader(kind, rule[kind], "\n".join(map(str, asked)))


def _queries(dashboard: Mapping[str, Any]) -> Iterator[Reader]:
    title = dashboard["title"].removeprefix("Catwalk: ")
    for outer in dashboard["panels"]:
        for panel in (outer, *outer.get("panels", [])):
            for target in panel.get("targets", []):
                yield Reader("panel", panel["title"], target["expr"], title)
    for variable in dashboard["templating"]["list"]:
        yield Reader("panel", f"${variable['name']}", variable.get("definition", ""), title)
    for annotation in dashboard["annotations"]["list"]:
        yield Reader("panel", f"annotation {annotation['name']}", annotation.get("expr", ""), title)


def to_markdown(names: Mapping[str, Iterable[str]], project: Path) -> list[str]:
    """Returns lines of the page: a table of which metric is used where, and a list of unused metrics.

    Args:
        names: The names of metrics, by owner; the series that rules record follow them.
        project: The folder of the checkout.
    """
    everybody = readers(project)
    groups = {**names, "Recorded by rules": [reader.name for reader in everybody if reader.kind == "record"]}
    found = {name: [one for one in everybody if one.reads(name)] for group in groups.values() for name in group}
    lines = ["## Used by", "", "A series that a rule records from others has its own line below.", ""]
    lines += ["| name | recording rules | alerts and their runbooks | dashboards |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {_cells(of)} |" for name, of in found.items() if of]
    lines += ["", "## Used by nothing", "", "No rule, runbook or dashboard of Catwalk reads these; yours may.", ""]
    for whose, group in groups.items():
        unused = ", ".join(f"`{name}`" for name in dict.fromkeys(group) if not found[name])
        lines.append(f"- {whose}: {unused or 'none'}")
    return lines


def _cells(of: list[Reader]) -> str:
    recorded = dict.fromkeys(f"`{reader.name}`" for reader in of if reader.kind == "record")
    alerts = dict.fromkeys(reader.name for reader in of if reader.kind == "alert")
    panels: dict[str, dict[str, None]] = {}
    for reader in of:
        if reader.kind == "panel":
            panels.setdefault(reader.dashboard, {})[reader.name] = None
    shown = [f"*{dashboard}*: {', '.join(titles)}" for dashboard, titles in panels.items()]
    return " | ".join(
        text.replace("|", "\\|") or "–" for text in (", ".join(recorded), ", ".join(alerts), "; ".join(shown))
    )
