"""Prometheus' HTTP API: recorded data."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from catwalk.clients import access
from catwalk.environment.parts import part_url
from catwalk.errors import CatwalkError

TIMEOUT = 60.0
"""Seconds: a query may read many samples."""


class PrometheusError(CatwalkError):
    """Prometheus did not answer, or refused a request."""


class Series(NamedTuple):
    """One series of a response."""

    labels: Mapping[str, str]
    samples: Mapping[float, float]
    """Unix time → value."""


def over(query: str, start: float, end: float, step: float) -> list[Series]:
    """The series of a query, evaluated every `step` seconds from one Unix time to another, both included.

    Raises:
        PrometheusError: It doesn't answer.
    """
    base = part_url("prometheus")
    asked = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step})
    try:
        found = json.loads(access.fetch(f"{base}/api/v1/query_range?{asked}", timeout=TIMEOUT))["data"]["result"]
        return [Series(one["metric"], {at: float(value) for at, value in one["values"]}) for one in found]
    except OSError as error:
        raise PrometheusError(access.complaint("Prometheus", base, "CATWALK_PROMETHEUS_URL", error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise PrometheusError(
            f"the server at {base} does not answer like Prometheus; correct CATWALK_PROMETHEUS_URL"
        ) from error
