"""A rule of statsd_exporter's mapping, from a StatsD name to a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from catwalk.telemetry.catalogue import Metric


@dataclass(frozen=True)
class Rule:
    """A rule of the mapping: a StatsD name, and the series that it becomes."""

    match: str
    """The StatsD name, in which ``*`` stands for one segment between dots; or a regular expression, if it begins with
    ``^``.
    """
    metric: Metric | None
    """None if the name is dropped."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Labels that the rule sets regardless of the tags. An empty value removes a tag."""
    scale: float = 1.0
    """The factor for the value."""
    reason: str = ""
    """Why it is dropped, or differs from the registry."""

    @property
    def is_regex(self) -> bool:
        """Whether `match` is a regular expression."""
        return self.match.startswith("^")
