"""Every knob of a run, declared once (see :mod:`catwalk.knobs`), and the names of the classes.

Imports nothing heavy, because DAG files import it each time Airflow parses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, get_args

from catwalk.gate.config import GateConfig
from catwalk.knobs import Bounds, Config, Section, number, require, setting
from catwalk.ledger.records.training import MOST_PLANNED_EPOCHS
from ml.fashion_mnist import drifts

CLASSES = (
    "t-shirt-top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
"""Fashion-MNIST's ten classes in label order, with names that are safe in a StatsD tag."""
SIDE = 28
"""The side of a picture, in pixels."""


Source = Literal["fashion-mnist", "synthetic", "feed", "synthetic-feed"]


@dataclass(frozen=True)
class DataConfig(Section):
    """The examples of a run."""

    source: Source = "fashion-mnist"
    """Dataset: the real Fashion-MNIST, or synthetic images in the same format (for experiments); a feed delivers the
    training images of either by day.
    """
    train_examples: int = number(55_000, 10, 59_990, multiple_of=10, helps="memory", varies=True)
    """Training examples to use, at most 60,000 minus those for validation; fewer leave room for newer data later. In a
    feed, about as many once all have arrived, minus those reserved for tests.
    """
    validation_examples: int = number(5_000, 10, 30_000, multiple_of=10)
    """Examples of the 60,000 held out for validation, the same number in each class; in a feed, about as many once all
    have arrived.
    """
    split_seed: int = number(20_170_825, 0, 2**32 - 1)
    """Seed of the train/validation split; part of the dataset's hash."""
    as_of: str | None = setting(None, varies=False)
    """Day (UTC) up to which a feed is read, such as 2026-11-25; empty for the day of the DAG run's logical date, or
    today.
    """
    feed_start: str = setting("2026-01-01", varies=False)
    """First day (UTC) of a feed, which has half of its examples."""
    feed_days: int = number(1_095, 1, 36_500)
    """Days after the first in which a feed delivers the other half, the same number each day."""
    gap_days: int = number(1, 0, 3_650)
    """Days before as_of that a feed keeps out of training and validation, as if labels arrived late."""
    drifts: str = setting("", varies=False)
    """How a feed changes: DAY KIND [STRENGTH], …, where KIND is none, brightness, rotation, class-mix or label-noise,
    such as 2026-12-01 rotation 15, 2027-01-01 none; empty for no change.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.source in get_args(Source), "source", self.source, " or ".join(get_args(Source)))
        Bounds(10, 60_000 - self.validation_examples).check("train_examples", self.train_examples)
        for knob in ("as_of", "drifts"):
            value = getattr(self, knob)
            require(not value or self.comes_by_day, knob, value, f"empty, because source {self.source} is not a feed")
        drifts.schedule(self.drifts)
        self._check_days()

    def _check_days(self) -> None:
        first = drifts.day("feed_start", self.feed_start)
        if self.as_of is not None:
            least = date.fromordinal(min(first.toordinal() + self.gap_days, date.max.toordinal()))
            bound = f"{least} or later (feed_start and gap_days)"
            require(drifts.day("as_of", self.as_of) >= least, "as_of", self.as_of, bound)

    @property
    def comes_by_day(self) -> bool:
        """Whether the source is a feed."""
        return self.source.endswith("feed")

    @property
    def synthetic(self) -> bool:
        """Whether the images are synthetic."""
        return self.source.startswith("synthetic")

    def dated(self, day: date) -> DataConfig:
        """Returns the configuration with the day up to which the feed is read, if it has none.

        Raises:
            ConfigError: the feed starts later.
        """
        return replace(self, as_of=day.isoformat()) if self.comes_by_day and not self.as_of else self


@dataclass(frozen=True)
class NetworkConfig(Section):
    """The multilayer perceptron's shape."""

    hidden: tuple[int, ...] = setting((512, 512), helps="memory")
    """Units in each hidden layer, such as 512,512."""
    dropout: float = number(0.0, 0.0, 0.9)
    """Share of hidden activations dropped during training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.hidden) <= 8, "hidden", self.hidden, "at most 8 layers")
        for units in self.hidden:
            Bounds(1, 8_192).check("hidden", units)


@dataclass(frozen=True)
class TrainingConfig(Section):
    """The training: stochastic gradient descent with Nesterov momentum and a one-cycle rate."""

    epochs: int = number(18, 1, MOST_PLANNED_EPOCHS)
    """Passes over the training examples."""
    batch_size: int = number(256, 1, 60_000, helps="memory")
    """Examples per optimiser step."""
    peak_learning_rate: float = number(0.1, 0.0, 1e6, above=True, helps="divergence")
    """Highest learning rate of the one-cycle schedule."""
    warmup: float = number(0.3, 0.0, 0.95)
    """Share of all steps in which the rate rises to its peak; then it anneals to almost 0."""
    momentum: float = number(0.9, 0.0, 0.999)
    """Momentum (Nesterov) at the peak of the rate."""
    weight_decay: float = number(2e-4, 0.0, 1.0)
    """L2 penalty on all parameters."""
    label_smoothing: float = number(0.05, 0.0, 0.9)
    """Share of each example's probability that the loss spreads evenly over the classes."""
    shift: float = number(0.2, 0.0, 1.0)
    """Share of the examples that an epoch shifts by one pixel, in one of the eight directions."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of matrix products in training; auto: bfloat16 on a CPU that has instructions for it."""
    seed: int | None = number(None, 0, 2**63 - 1)
    """Seed of initial weights, shuffling and dropout; empty: derived from the run id, so that each night differs."""
    device: str = "auto"
    """Where to train: auto (a GPU if there is one), cpu, cuda, cuda:0 … or mps."""
    threads: int | None = number(None, 1, 256)
    """CPU threads for PyTorch; empty: as many as this process may use. The weights' last bits depend on it."""
    checkpoint_seconds: float = number(10.0, 0.0, 3_600.0)
    """Shortest time between two checkpoints, in seconds; 0 writes one after every epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = self.device.partition(":")[0]
        require(kind in ("auto", "cpu", "cuda", "mps"), "device", self.device, "auto, cpu, cuda, cuda:N or mps")
        formats = ("auto", "float32", "bfloat16")
        require(self.precision in formats, "precision", self.precision, "auto, float32 or bfloat16")


@dataclass(frozen=True)
class RunConfig(Config):
    """The whole configuration of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)

    @property
    def model(self) -> str:
        """The name under which versions of this model compete; synthetic data never competes with real data, or a feed
        with a fixed dataset.
        """
        return "mlp" + "-synthetic" * self.data.synthetic + "-feed" * self.data.comes_by_day
