"""A model across its runs: its owner, and the version in service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WatchedRecord:
    """``models/<model>.json``: a model's own record, from its runs that ship or from people. Changed only with
    If-Match.
    """

    model: str
    problem: dict[str, Any] = field(default_factory=dict)
    """As in run.json, like the following fields."""
    schedule: str = ""
    owner: str = ""
    thresholds: dict[str, Any] = field(default_factory=dict)
    threshold_reasons: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    run_id: str = ""
    """The run that set this; empty if a person did."""
    changed: float = 0.0
    by: str = ""
    """The person who set this, or at least the limits; empty if a run did."""
    by_hand: dict[str, str] = field(default_factory=dict)
    """The fields that a person set, `schedule` or `owner`, which hold as long as runs leave them out."""
    retired: float = 0.0
    """When it was retired; 0 if it is in use. A scheduled run that begins later brings it back."""
    renamed_to: str = ""
    """Its new name."""
    formerly: str = ""
    """Its previous name."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Earlier values of the same fields, oldest first."""


@dataclass(frozen=True)
class PromotionRecord:
    """One change of the champion: who, when, why, from which run, to which run."""

    run_id: str
    """The run that went into service."""
    model_sha256: str
    promoted: float
    previous: str
    """run_id of the run that it replaced; empty if there was none."""
    by: str
    reason: str
    rollback: bool = False


@dataclass(frozen=True)
class ChampionRecord:
    """``champions/<model>.json``: the version in service. Changed only with If-Match."""

    model: str
    run_id: str
    model_sha256: str
    promoted: float
    previous: str
    """run_id of the previous champion; empty if there was none."""
    anchor: str
    """run_id of the best model ever promoted, or once that was stale, of one with its settings and newer data."""
    by: str
    reason: str
    previous_anchor: str = ""
    """The anchor before this promotion, or before this anchor; empty if there was none."""
    history: list[PromotionRecord] = field(default_factory=list)
    """Every change up to this one, oldest first."""

    @property
    def announcement(self) -> dict[str, str]:
        """The fields for others to fetch and verify the model."""
        return {"model": self.model, "run_id": self.run_id, "model_sha256": self.model_sha256}
