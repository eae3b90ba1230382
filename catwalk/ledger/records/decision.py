"""The checks of the gate, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "failed", "inconclusive", "skipped"]


@dataclass(frozen=True)
class CheckRecord:
    """One check of the gate."""

    check: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    low: float | None
    high: float | None
    sentence: str


@dataclass(frozen=True)
class DecisionRecord:
    """``runs/<run_id>/decision.json``."""

    decision: Literal["ship", "hold", "would_ship"]
    """Would ship: of a run that may not put its model into service."""
    reason: str
    sentence: str
    checks: list[CheckRecord]
    champion: str
    """run_id of the champion that was in service when this was decided; empty: none."""
    model_sha256: str
    finished: float
    split_decisions: int = 1
    """Decisions that the test examples have served in, on average, this one included: the more, the more a lead on them
    owes to chance."""

    def __str__(self) -> str:
        return self.sentence
