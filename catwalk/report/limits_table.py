"""A model's limits as a table, for a run's report and for the exporter's page of models. Draws no figure."""

from __future__ import annotations

from collections.abc import Sequence

from catwalk.problems.limits import Limit
from catwalk.web.markup import Content, Html, element, table


def limits_table(limits: Sequence[Limit]) -> Html:
    """Returns a table with one limit per line and its reason, or nothing if there are no limits."""
    rows: list[list[Content]] = [
        [limit.name, limit.value, limit.reason or element("span", "no reason given", "quiet")] for limit in limits
    ]
    return table(["limit", "value", "why"], rows, ["", "n", "words"]) if rows else Html("")
