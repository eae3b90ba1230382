"""PromQL that several dashboards need.

Functions over windows read every sample: over months of a series that is always there, comparing two plain selectors
is ten times cheaper.
"""

from __future__ import annotations

_BEFORE = "offset $__interval"
_UP = 'up{job="statsd_exporter"}'


def happened(counter: str, by: str = "", *, always: bool = False) -> str:
    """How often something happened since the point before, as statsd_exporter counts it.

    Where a series is new or has started again, all it counts is new; one that is merely seen again after an outage of
    Prometheus is not.

    Args:
        counter: selector of a counter.
        by: labels to keep.
        always: the series are there from their server's start, whichever that is, so a new one says nothing.
    """
    keep = f" by ({by})" if by else ""
    grown = f"{counter} - {counter} {_BEFORE} >= 0"
    if always:
        return f"sum{keep} ({grown})"
    return f"sum{keep} (({grown}) or ({counter} and on (job, instance) {_UP} {_BEFORE} == 1))"


def mean(histogram: str, by: str = "") -> str:
    """Mean of what a histogram has seen since the point before; nothing where it has seen nothing."""
    keep = f" by ({by})" if by else ""
    total, count = f"{histogram}_sum", f"{histogram}_count"
    return f"sum{keep} ({total} - {total} {_BEFORE}) / (sum{keep} ({count} - {count} {_BEFORE}) > 0)"
