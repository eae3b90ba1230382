"""Asks a Prometheus the dashboards' questions as Grafana would: macros and variables replaced."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
from collections.abc import Mapping
from typing import Any

from monitoring import access

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TIMEOUT = 60.0


class QueryError(Exception):
    """Prometheus refuses a query; has its message."""


def substituted(expr: str, variables: Mapping[str, str], range_seconds: int, interval_seconds: int = 15) -> str:
    """The expression with Grafana's macros and a dashboard's variables replaced.

    Raises:
        KeyError: a variable is not known.
    """
    macros = {
        "__range": f"{range_seconds}s",
        "__interval": f"{interval_seconds}s",
        "__interval_ms": f"{1_000 * interval_seconds}",
    }
    known = {**macros, **variables}
    return _VARIABLE.sub(lambda found: known[found[1] or found[2]], expr)


def ask(
    url: str, expr: str, variables: Mapping[str, str], until: float, seconds: int, step: int, *, instant: bool
) -> Any:
    """Prometheus' answer: its ``result``, a list of series.

    Args:
        url: of Prometheus.
        expr: with macros and variables.
        variables: name → value.
        until: end of the range, Unix time.
        seconds: length of the range.
        step: between two points, in seconds.
        instant: ask for the value at the end alone.

    Raises:
        QueryError: Prometheus refuses the query.
        OSError: it does not answer.
    """
    text = substituted(expr, variables, seconds, step)
    values = {"query": text, "time": f"{until}"}
    if not instant:
        start, end = ((at // step) * step for at in (until - seconds, until))  # Grafana asks for whole steps
        values = {"query": text, "start": f"{start}", "end": f"{end}", "step": f"{step}"}
    target = f"{url}/api/v1/{'query' if instant else 'query_range'}"
    body = urllib.parse.urlencode(values).encode()
    try:
        found = access.fetch(target, body, timeout=_TIMEOUT, kind="application/x-www-form-urlencoded")
        return json.loads(found)["data"]["result"]
    except urllib.error.HTTPError as error:
        if access.refused(error):
            raise QueryError(access.complaint("Prometheus", url, "CATWALK_PROMETHEUS_URL", error)) from error
        raise QueryError(f"{json.load(error)['error']}: {text}") from error
