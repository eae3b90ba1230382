"""The results of the test."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field

from catwalk.ledger.records.values import check_classes


@dataclass(frozen=True)
class SliceRecord:
    """A model's result on the test examples with one value of a slice."""

    examples: int
    metric: float | None
    """The problem's headline; None if it is undefined on these examples."""


@dataclass(frozen=True)
class EvaluationRecord:
    """``runs/<run_id>/evaluation.json``: the model's score on the test split."""

    model_sha256: str
    dataset_sha256: str
    examples: int
    accuracy: float | None
    """The accuracy; None, like the other figures of classes, if the problem has no classes."""
    loss: float | None
    """Mean cross-entropy in nats; None if it was not measured."""
    calibration_error: float | None
    """Expected calibration error over 15 equal-width bins of confidence (Naeini et al., 2015)."""
    class_accuracy: list[float]
    """Recall of each class, in label order; empty, like the following fields, if the problem has no classes."""
    class_precision: list[float]
    class_f1: list[float]
    confusion: list[list[int]]
    """Examples by true class (row) and predicted class (column)."""
    inference_seconds: float | None
    """Seconds to score all examples; None if they were not measured."""
    finished: float
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    previews_sha256: str = ""
    """Hash of ``previews.safetensors``; empty if the run has none."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Metric → value, for metrics without their own field here."""
    slices: dict[str, dict[str, SliceRecord]] = field(default_factory=dict)
    """Slice → value → the model's result on it."""
    test_set: str = ""
    """Name of the test set, by which runs without keys are compared; empty if there is none."""
    outcome_sha256: str = ""
    """Hash of ``outcome.safetensors``, with each example's key, loss and prediction; empty if the run has none."""

    @property
    def scores(self) -> dict[str, float]:
        """Metric → value, for all that was measured."""
        named = {"accuracy": self.accuracy, "log_loss": self.loss, "calibration_error": self.calibration_error}
        return {**{name: value for name, value in named.items() if value is not None}, **self.metrics}

    def __post_init__(self) -> None:
        of_classes: tuple[Sized, ...] = (self.class_accuracy, self.class_precision, self.class_f1, self.confusion)
        check_classes(self.classes, *of_classes, *self.confusion)
