"""How often test examples were used in decisions."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExposureRecord:
    """``exposures/<model>/counts.json``: the number of decisions about a model that used each test example. Changed
    only with If-Match.
    """

    counts: dict[str, int] = field(default_factory=dict)
    """The first 8 bytes of an example's digest, in hex → decisions."""
    runs: list[str] = field(default_factory=list)
    """run_ids with a decision, each counted once."""
