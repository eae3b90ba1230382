"""Sends the dashboards' queries to a Prometheus as Grafana would: its steps, its macros, a dashboard's variables.

After Grafana 12.3: `promlib/models/query.go` and `gtime.RoundInterval`.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
from collections.abc import Mapping
from typing import Any

from catwalk.clients import access
from tests.grafana.promql import Query

SCRAPE_SECONDS = 10
"""The data source's `timeInterval`: no panel asks for finer steps."""
_FINEST = 11_000
"""The most points that Grafana requests from Prometheus, whatever the panel says."""
_ROUNDED = (
    *((0.01, 0.001), (0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1)),
    *((3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600)),
    *((1_050, 900), (1_500, 1_200), (2_700, 1_800), (5_400, 3_600), (9_000, 7_200), (16_200, 10_800)),
    *((32_400, 21_600), (86_400, 43_200), (604_800, 86_400), (1_814_400, 604_800), (3_628_800, 2_592_000)),
)
"""Intervals below the first become the second, in seconds; longer ones become a year."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
"""Not `$1`, a group of `label_replace`, which Grafana leaves alone too."""
_TIMEOUT = 60.0


class QueryError(Exception):
    """Prometheus rejects a query; has its message."""


def rounded(seconds: float) -> float:
    """Returns the interval that Grafana uses instead of a computed one."""
    return next((taken for below, taken in _ROUNDED if seconds < below), 31_536_000)


def step_of(query: Query, seconds: float, scrape: float = SCRAPE_SECONDS) -> float:
    """Returns the seconds between two points of a query over a range with this number of seconds."""
    least = query.min_step or scrape
    wanted = seconds / query.points
    step = least if wanted < least else rounded(wanted)
    return max(step, rounded(seconds / _FINEST))


def substituted(
    expr: str, variables: Mapping[str, str], seconds: float, step: float, scrape: float = SCRAPE_SECONDS
) -> str:
    """The expression with Grafana's macros and a dashboard's variables replaced.

    Raises:
        KeyError: A variable is unknown.
    """
    macros = {
        "__range": f"{round(seconds)}s",
        "__interval": f"{round(1_000 * step)}ms",
        "__interval_ms": f"{round(1_000 * step)}",
        "__rate_interval": f"{round(1_000 * max(step + scrape, 4 * scrape))}ms",
    }
    known = {**macros, **variables}
    return _VARIABLE.sub(lambda found: known[found[1] or found[2]], expr)


def ask(
    url: str,
    query: Query,
    variables: Mapping[str, str],
    until: float,
    seconds: float,
    scrape: float = SCRAPE_SECONDS,
) -> Any:
    """Prometheus' answer: its ``result``, a list of series.

    Args:
        url: The address of Prometheus.
        query: The query, with macros and variables.
        variables: Name → value.
        until: The end of the range, Unix time.
        seconds: The length of the range.
        scrape: The scrape interval in seconds that is set in the data source.

    Raises:
        QueryError: Prometheus rejects the query.
        OSError: It does not answer.
    """
    step = step_of(query, seconds, scrape)
    text = substituted(query.expr, variables, seconds, step, scrape)
    values = {"query": text, "time": f"{until}"}
    if not query.instant:
        start, end = (at // step * step for at in (until - seconds, until))  # Grafana floors both to whole steps
        values = {"query": text, "start": f"{start}", "end": f"{end}", "step": f"{step}"}
    target = f"{url}/api/v1/{'query' if query.instant else 'query_range'}"
    body = urllib.parse.urlencode(values).encode()
    try:
        found = access.fetch(target, body, timeout=_TIMEOUT, kind="application/x-www-form-urlencoded")
        return json.loads(found)["data"]["result"]
    except urllib.error.HTTPError as error:
        if access.refused(error):
            raise QueryError(access.complaint("Prometheus", url, "CATWALK_PROMETHEUS_URL", error)) from error
        raise QueryError(f"{json.load(error)['error']}: {text}") from error
