"""The anchor where test examples roll: compared on its own, until what it was measured on is no longer what comes in.

Models that are each a little worse than the one before would pass one after the other. So the best model ever promoted
stays a baseline, on the examples of its own test, of which the challenger has learnt none. Where the world has changed,
those examples say nothing of it any more: the anchor is stale, and its settings, trained on today's data, take its
place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from catwalk.ledger.records.dataset import DatasetRecord, moment
from catwalk.ledger.records.decision import CheckRecord, Verdict
from catwalk.ledger.records.run import RunRecord

SHORTEST_STAND = timedelta(days=30)
"""An anchor that were replaced each night would hold nobody."""
_OF_THE_DAY = ("as_of", "seed")
_NOT_FULFILLED = ("precondition", "floor", "calibration")


@dataclass(frozen=True)
class Figures:
    """The anchor's accuracy, 0 to 1."""

    then: float
    """On the examples of its own test."""
    now: float
    """On those of the challenger's."""


def anchor_fresh(figures: Figures, margin: float) -> CheckRecord:
    """Whether the anchor still does as well as when it was measured; failed: it is stale."""
    stale = figures.now < figures.then - margin
    verdict: Verdict = "failed" if stale else "passed"
    sentence = (
        f"The anchor has {figures.then:.2%} on its own test examples and {figures.now:.2%} on today's, "
        + (f"more than the margin of {margin:.2%} less" if stale else f"within the margin of {margin:.2%}")
        + (
            ": it is stale, so until its settings, trained anew, replace it, only what is better ships."
            if stale
            else "."
        )
    )
    return CheckRecord("anchor_fresh", verdict, figures.now, figures.then - margin, None, None, sentence)


def is_stale(checks: list[CheckRecord]) -> bool:
    """Whether the gate has found the anchor to be so."""
    return any(check.check == "anchor_fresh" and check.verdict == "failed" for check in checks)


def may_replace(run: RunRecord, data: DatasetRecord, anchor: RunRecord, its_data: DatasetRecord, reason: str) -> bool:
    """Whether a run takes the place of a stale anchor: it has the same settings, stands up by itself, and its data is
    a month later.

    Args:
        run: the challenger.
        data: what it learnt from.
        anchor: the stale one.
        its_data: what that learnt from.
        reason: of the challenger's decision.
    """
    same = recipe(run.config) == recipe(anchor.config)
    old = _time(run, data) - _time(anchor, its_data) >= SHORTEST_STAND
    return same and old and reason not in _NOT_FULFILLED


def recipe(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration makes one night's model like another's: neither the day nor the seed, nor the gate."""
    return {
        section: {name: value for name, value in settings.items() if name not in _OF_THE_DAY}
        for section, settings in config.items()
        if section != "gate" and isinstance(settings, dict)
    }


def _time(run: RunRecord, data: DatasetRecord) -> datetime:
    return moment(data.as_of) if data.as_of else datetime.fromtimestamp(run.created, UTC)
