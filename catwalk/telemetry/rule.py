"""A rule of statsd_exporter's mapping: a StatsD name, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from catwalk.telemetry.catalogue import Metric


@dataclass(frozen=True)
class Rule:
    """One rule of the mapping: a StatsD name, and the series it becomes."""

    match: str
    """StatsD name; ``*`` stands for one segment between dots. Or a regular expression, if it begins with ``^``."""
    metric: Metric | None
    """None: dropped."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Labels that the rule sets whatever the tags say. An empty value takes a tag away."""
    scale: float = 1.0
    """Factor on the value."""
    reason: str = ""
    """Why it is dropped, or not what the registry says."""

    @property
    def is_regex(self) -> bool:
        """Whether `match` is a regular expression."""
        return self.match.startswith("^")
