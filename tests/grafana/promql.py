"""The queries of the dashboards, and the metrics in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grafana.board import all_panels
from grafana.dashboards import DASHBOARDS
from grafana.queries import OTHER_HEADLINE

_NO_METRIC = re.compile(
    r'"(?:[^"\\]|\\.)*"|\{[^}]*\}|\$\w+|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)'
)
"""Strings, selectors, macros, windows and lists of labels."""
_OPERATORS = {"and", "or", "unless", "offset", "bool", "end"}


@dataclass(frozen=True)
class Query:
    """One query and its place."""

    dashboard: str
    place: str
    """The title of the panel, or the name of the variable or annotation."""
    ref: str
    expr: str
    instant: bool
    table: bool
    points: int = 1_000
    """The most points that Grafana requests across the range."""
    min_step: float = 0
    """The minimum number of seconds between two of them; 0: that of the data source."""

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.dashboard}/{self.place}/{self.ref}"


def panel_queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Yields the queries of all panels."""
    for panel in all_panels(dashboard):
        for target in panel.get("targets", []):
            yield Query(
                dashboard["uid"],
                panel["title"],
                target["refId"],
                target["expr"],
                bool(target["instant"]),
                target["format"] == "table",
                panel.get("maxDataPoints", 1_000),
                {None: 0, "1m": 60}[panel.get("interval")],
            )


def other_queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Yields the queries of variables and annotations; a `label_values` yields its selector."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            inside = re.fullmatch(r"(label_values|query_result)\((.*?)(?:, \w+)?\)", variable["definition"])
            assert inside, variable["definition"]
            yield Query(dashboard["uid"], variable["name"], "variable", inside[2], True, False)
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:  # Grafana's own have none
            step = {"60s": 60, "30m": 1_800}[annotation["step"]]
            yield Query(dashboard["uid"], annotation["name"], "annotation", annotation["expr"], False, False, 100, step)


def all_queries() -> list[Query]:
    """Every query of every dashboard."""
    return [query for dashboard in DASHBOARDS for query in (*panel_queries(dashboard), *other_queries(dashboard))]


def metric_names(expr: str) -> set[str]:
    """Returns the metrics in an expression: every word that is no function or operator, and counters."""
    words = set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", _NO_METRIC.sub(" ", expr)))
    return words - _OPERATORS | counters(expr)


def of_other_headline(query: Query) -> bool:
    """Whether a query is empty for every model whose headline is its accuracy."""
    return bool(re.search(rf"and on \(\w*\) {re.escape(OTHER_HEADLINE)}", query.expr))


def ends_an_axis(query: Query) -> bool:
    """Whether a query is empty unless values are far worse than the others."""
    return '"end"' in query.expr


def counters(expr: str) -> set[str]:
    """Returns the counters whose growth an expression reads from the rule that counts for dashboards."""
    return set(re.findall(r'counter="(\w+)"', expr))


def airflow_queries() -> list[Query]:
    """Returns the queries of Airflow's own metrics, and of the exporter's about Airflow."""
    return [query for query in all_queries() if any("airflow_" in name for name in metric_names(query.expr))]
