"""PromQL that several dashboards need.

Functions over windows read every sample: over months of a series that is always there, comparing two plain selectors
is ten times cheaper.
"""

from __future__ import annotations

_BEFORE = "offset $__interval"
_SERVER = 'job="statsd_exporter"'
_WATCHED = (
    f"(up{{{_SERVER}}} {_BEFORE} == 1 or time() - process_start_time_seconds{{{_SERVER}}} < $__interval_ms / 1000)"
)
"""Where nothing can have been counted before the interval that is not known: the server was scraped then, or is new."""


def happened(counter: str, by: str = "", *, always: bool = False) -> str:
    """How much a counter has grown since the point before, as statsd_exporter counts.

    Where a series is new or has started again, all it counts is new; one that is merely seen again after an outage of
    Prometheus is not.

    Args:
        counter: selector of a counter.
        by: labels to keep.
        always: the series are there from their server's start, whichever that is, so a new one says nothing.
    """
    grown = f"{counter} - {counter} {_BEFORE} >= 0" if always else _grown(counter)
    return f"sum{f' by ({by})' if by else ''} ({grown})"


def mean(histogram: str, by: str = "") -> str:
    """Mean of what a histogram has seen since the point before; nothing where it has seen nothing."""
    keep = f" by ({by})" if by else ""
    # Series by series as in `happened`; that the server was watched is asked once, for time's sake.
    total, count = (
        f"sum{keep} ({name} - {name} {_BEFORE} >= 0 or {name})" for name in (f"{histogram}_sum", f"{histogram}_count")
    )
    return f"{total} / ({count} > 0) and on () {_WATCHED}"


def _grown(counter: str) -> str:
    """By how much each series has grown since the point before; all of it where it is new or has started again."""
    return f"({counter} - {counter} {_BEFORE} >= 0) or ({counter} and on (job, instance) {_WATCHED})"
