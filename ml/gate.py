"""The ship decision: so far the floor that every model has to reach."""

from __future__ import annotations

from ml.config import GateConfig
from ml.records import CheckRecord, EvaluationRecord


def floor_checks(evaluation: EvaluationRecord, config: GateConfig) -> list[CheckRecord]:
    """What a model must reach whatever the champion does."""
    reached = evaluation.accuracy >= config.accuracy_floor
    sentence = (
        f"Test accuracy {evaluation.accuracy:.2%} {'reaches' if reached else 'is below'} the floor of "
        f"{config.accuracy_floor:.2%}."
    )
    return [
        CheckRecord(
            check="accuracy_floor",
            verdict="passed" if reached else "failed",
            value=evaluation.accuracy,
            threshold=config.accuracy_floor,
            low=None,
            high=None,
            sentence=sentence,
        )
    ]
