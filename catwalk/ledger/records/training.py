"""Epochs, and the resulting model."""

from __future__ import annotations

from dataclasses import dataclass, field

from catwalk.ledger.records.values import is_finite

MAX_EPOCHS = 200
"""Each epoch is a label value in Prometheus. All curves of a run with this many epochs fit beside its test; a run with
an unknown number of epochs shows no more than these.
"""
MOST_PLANNED_EPOCHS = 5_000
"""Maximum number of epochs of a training in stages, which rewrites all its epochs after each: 4 MB for this many."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of training. In the stages, losses are mean cross-entropy in nats, and both splits are measured in
    evaluation mode; a run that logs (:mod:`catwalk.tracking`) has the figures that it logged. None means not measured;
    NaN means measured, but not a number.
    """

    epoch: int
    """The number, from 1."""
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    class_accuracy: list[float]
    """Validation recall of each class, in label order; empty if it was not measured."""
    learning_rate: float | None
    """Learning rate of the epoch's last step."""
    gradient_norm: float | None
    """L2 norm of the gradient, averaged over the epoch's steps."""
    duration_seconds: float | None
    """Duration of the training steps, without evaluation and checkpoint; for a run that logs, since the previous epoch.
    """
    examples_per_second: float | None
    finished: float
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, for metrics without their own field here."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Split → metric → value, for all that was measured: loss and accuracy first."""
        named = {
            "train": {"loss": self.train_loss, "accuracy": self.train_accuracy},
            "validation": {"loss": self.validation_loss, "accuracy": self.validation_accuracy},
        }
        found = {
            split: {
                **{name: value for name, value in named.get(split, {}).items() if value is not None},
                **self.metrics.get(split, {}),
            }
            for split in [*named, *(split for split in self.metrics if split not in named)]
        }
        return {split: values for split, values in found.items() if values}


@dataclass(frozen=True)
class TrainingRecord:
    """``runs/<run_id>/epochs.json``: every epoch so far, replaced after each epoch."""

    attempt: int
    """Number of the train attempt that wrote this."""
    epochs: list[EpochRecord]
    device: str = ""
    threads: int = 0
    torch: str = ""
    reproducible: bool = True
    """False once training was resumed on another device, thread count or torch build."""
    model_sha256: str = ""
    """Hash of ``model.safetensors``; empty until training has finished."""
    model_bytes: int = 0
    parameters: int = 0
    """Trainable parameters of the network."""
    axis: str = "epoch"
    """What the numbers of the epochs count: epoch or step."""
    sealed: list[str] = field(default_factory=list)
    """Objects of the run with the epochs before these (see :class:`EpochSegment`), so that a long run rewrites only its
    last few epochs.
    """

    @property
    def finished(self) -> bool:
        """Whether the model is stored and may be tested."""
        return bool(self.model_sha256)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest finite validation loss."""
        finite = [(record.validation_loss, record) for record in self.epochs if is_finite(record.validation_loss)]
        return min(finite, key=lambda found: found[0], default=(None, None))[1]

    @property
    def train_losses(self) -> list[float]:
        """The finite training losses of all epochs."""
        return [record.train_loss for record in self.epochs if is_finite(record.train_loss)]


@dataclass(frozen=True)
class EpochSegment:
    """``runs/<run_id>/epochs/<attempt>-<n>.json``: epochs that no longer change."""

    epochs: list[EpochRecord]


@dataclass(frozen=True)
class ModelFile:
    """One file of a model."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class ModelRecord:
    """``runs/<run_id>/model.json``: the model of a run that logs, of any kind and any number of files."""

    sha256: str
    """Hash of its only file, or of several files' list in the form of sha256sum, sorted by path."""
    bytes: int
    folder: str
    """The folder of its files, below the run."""
    files: dict[str, ModelFile] = field(default_factory=dict)
    """Path → file; empty if the model is stored elsewhere."""
    uri: str = ""
    """Where the model is stored, if not in the ledger."""
