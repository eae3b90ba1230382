"""A model over its runs: who answers for it, and which version is in service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WatchedRecord:
    """``models/<model>.json``: what is known of a model, by its runs that ship or by hand. Changed by If-Match only."""

    model: str
    problem: dict[str, Any] = field(default_factory=dict)
    """As in run.json, like what follows."""
    schedule: str = ""
    owner: str = ""
    thresholds: dict[str, Any] = field(default_factory=dict)
    threshold_reasons: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    run_id: str = ""
    """The run that said so; empty: a person did."""
    changed: float = 0.0
    by: str = ""
    """The person, of the limits at least; empty: a run did."""
    by_hand: dict[str, str] = field(default_factory=dict)
    """What a person has said, `schedule` or `owner`, which holds for as long as runs say nothing of it."""
    retired: float = 0.0
    """When it was taken out of use; 0: it is in use. A scheduled run that begins later brings it back."""
    renamed_to: str = ""
    """Its name since then."""
    formerly: str = ""
    """Its name before."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """What held before, oldest first: the same fields."""


@dataclass(frozen=True)
class PromotionRecord:
    """One change of the champion: who, when, why, from what, to what."""

    run_id: str
    """What went into service."""
    model_sha256: str
    promoted: float
    previous: str
    """run_id of what it replaced; empty: nothing."""
    by: str
    reason: str
    rollback: bool = False


@dataclass(frozen=True)
class ChampionRecord:
    """``champions/<model>.json``: the version in service. Changed by If-Match only."""

    model: str
    run_id: str
    model_sha256: str
    promoted: float
    previous: str
    """run_id of the champion before this one; empty: none."""
    anchor: str
    """run_id of the best model ever promoted; or once that was stale, of one with its settings and newer data."""
    by: str
    reason: str
    previous_anchor: str = ""
    """The anchor before this promotion, or before this anchor; empty: none."""
    history: list[PromotionRecord] = field(default_factory=list)
    """Every change up to this one, oldest first."""

    @property
    def announcement(self) -> dict[str, str]:
        """What others are told of it, to fetch and verify the model."""
        return {"model": self.model, "run_id": self.run_id, "model_sha256": self.model_sha256}
