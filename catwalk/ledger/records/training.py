"""Epochs, and the model that they end in."""

from __future__ import annotations

from dataclasses import dataclass, field

from catwalk.ledger.records.values import is_finite

MAX_EPOCHS = 200
"""Each epoch is a label value in Prometheus. Of a run of so many epochs all curves have room beside its test; one that
does not say how many it trains shows no more than so many."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of training. In the stages losses are mean cross-entropy in nats, and both splits are measured in
    evaluation mode; a run that logs (:mod:`catwalk.tracking`) has the figures that it logs. None: not measured; a
    figure that was measured and is no number is NaN."""

    epoch: int
    """1 for the first."""
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    class_accuracy: list[float]
    """Validation recall of each class, in label order; empty: not measured."""
    learning_rate: float | None
    """Of the epoch's last step."""
    gradient_norm: float | None
    """Mean over the epoch's steps of the gradient's L2 norm."""
    duration_seconds: float | None
    """Of the training steps, without evaluation and checkpoint; of a run that logs, since the epoch before."""
    examples_per_second: float | None
    finished: float
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, of all that has no field of its own here."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Split → metric → value, of all that was measured: loss and accuracy first."""
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
    """``runs/<run_id>/epochs.json``: every epoch so far, replaced once an epoch."""

    attempt: int
    """Number of the train attempt that wrote this."""
    epochs: list[EpochRecord]
    device: str = ""
    threads: int = 0
    torch: str = ""
    reproducible: bool = True
    """False once training was resumed on another device, thread count or torch build."""
    model_sha256: str = ""
    """Of ``model.safetensors``; empty until training has finished."""
    model_bytes: int = 0
    parameters: int = 0
    """Trainable parameters of the network."""
    axis: str = "epoch"
    """What the numbers of the epochs count: epoch or step."""
    sealed: list[str] = field(default_factory=list)
    """Objects of the run that hold the epochs before these (see :class:`EpochSegment`): of many epochs only the last
    few are written again and again."""

    @property
    def finished(self) -> bool:
        """The model is stored and may be tested."""
        return bool(self.model_sha256)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest finite validation loss."""
        finite = [(record.validation_loss, record) for record in self.epochs if is_finite(record.validation_loss)]
        return min(finite, key=lambda found: found[0], default=(None, None))[1]

    @property
    def train_losses(self) -> list[float]:
        """Of all epochs, those that are finite."""
        return [record.train_loss for record in self.epochs if is_finite(record.train_loss)]


@dataclass(frozen=True)
class EpochSegment:
    """``runs/<run_id>/epochs/<attempt>-<n>.json``: epochs that do not change any more."""

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
    """Of its one file; of more, that of their list in the form of sha256sum, sorted by path."""
    bytes: int
    folder: str
    """Where its files are, below the run."""
    files: dict[str, ModelFile] = field(default_factory=dict)
    """By path; empty: it lies elsewhere."""
    uri: str = ""
    """Where, if not in the ledger."""
