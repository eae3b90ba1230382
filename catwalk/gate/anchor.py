"""The anchor if test examples roll on: compared on its own examples, until these no longer represent current data.

Models that are each a little worse than the previous one would pass one after another. So the best model ever promoted
stays a baseline, on the examples of its own test, from which the challenger has not learnt. If the data has changed,
those examples no longer represent it: the anchor is stale, and a model with its settings, trained on current data,
replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from catwalk.ledger.records.dataset import DatasetRecord, moment
from catwalk.ledger.records.decision import CheckRecord, Verdict
from catwalk.ledger.records.run import RunRecord

SHORTEST_STAND = timedelta(days=30)
"""An anchor that was replaced each night would never hold a run."""
_OF_THE_DAY = ("as_of", "seed")
_NOT_FULFILLED = ("precondition", "floor", "calibration")


@dataclass(frozen=True)
class Figures:
    """The anchor's accuracy, 0 to 1."""

    then: float
    """Its accuracy on the examples of its own test."""
    now: float
    """Its accuracy on the examples of the challenger's test."""


def anchor_fresh(figures: Figures, margin: float) -> CheckRecord:
    """Checks whether the anchor is still as good as in its own test; if the check fails, it is stale."""
    stale = figures.now < figures.then - margin
    verdict: Verdict = "failed" if stale else "passed"
    sentence = (
        f"The anchor has {figures.then:.2%} on its own test examples and {figures.now:.2%} on today's, "
        + (f"which is less by more than the margin of {margin:.2%}" if stale else f"within the margin of {margin:.2%}")
        + (
            ": it is stale, so until a newly trained model with its settings replaces it, only better models ship."
            if stale
            else "."
        )
    )
    return CheckRecord("anchor_fresh", verdict, figures.now, figures.then - margin, None, None, sentence)


def is_stale(checks: list[CheckRecord]) -> bool:
    """Returns whether the gate has found the anchor to be stale."""
    return any(check.check == "anchor_fresh" and check.verdict == "failed" for check in checks)


def may_replace(run: RunRecord, data: DatasetRecord, anchor: RunRecord, its_data: DatasetRecord, reason: str) -> bool:
    """Returns whether a run replaces a stale anchor: it has the same settings, passes its own checks, and its data is a
    month newer.

    Args:
        run: The challenger.
        data: Its dataset.
        anchor: The stale anchor.
        its_data: The anchor's dataset.
        reason: The reason of the challenger's decision.
    """
    same = recipe(run.config) == recipe(anchor.config)
    old = _time(run, data) - _time(anchor, its_data) >= SHORTEST_STAND
    return same and old and reason not in _NOT_FULFILLED


def recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings that nightly models have in common: without the day, the seed and the gate."""
    return {
        section: {name: value for name, value in settings.items() if name not in _OF_THE_DAY}
        for section, settings in config.items()
        if section != "gate" and isinstance(settings, dict)
    }


def _time(run: RunRecord, data: DatasetRecord) -> datetime:
    return moment(data.as_of) if data.as_of else datetime.fromtimestamp(run.created, UTC)
