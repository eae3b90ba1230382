"""The checks of the gate, and their result."""

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
    """``would_ship`` is for a run that may not put its model into service."""
    reason: str
    sentence: str
    checks: list[CheckRecord]
    champion: str
    """run_id of the champion at the time of the decision; empty if there was none."""
    model_sha256: str
    finished: float
    split_decisions: int = 1
    """Decisions that used a test example, on average, including this one: with more, chance explains more of a lead."""

    def __str__(self) -> str:
        return self.sentence
