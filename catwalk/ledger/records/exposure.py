"""How often test examples have decided."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExposureRecord:
    """``exposures/<model>/counts.json``: decisions about a model that each test example has served in. Changed by
    If-Match only."""

    counts: dict[str, int] = field(default_factory=dict)
    """The first 8 bytes of an example's digest, in hex → decisions."""
    runs: list[str] = field(default_factory=list)
    """run_ids that were decided about, each counted once."""
