"""The interface of a model that Catwalk trains, tests, compares, ships and serves, and how to find it.

A Trainable is an object at the top level of a module. Its `reference`, ``package.module:NAME``, is in every run's
record, and code that needs a run's model finds the Trainable by it. DAG files import these modules, so they import
torch and the like inside methods.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from catwalk.errors import ConfigError
from catwalk.knobs import Config
from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.run import Origin, RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.ledger.records.values import flat
from catwalk.problems.multiclass import Multiclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    """Name → values, one row per example."""
    Predictor = Callable[[Arrays], NDArray[Any]]
    """Inputs of n examples → logits, float32 (n, classes). Called from several threads, one at a time unless the
    Trainable is :class:`ThreadSafe`."""

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
Invert = Literal["auto", "yes", "no"]
"""Whether to invert an image."""


@dataclass(frozen=True)
class Data:
    """Examples in memory."""

    splits: Mapping[str, Arrays]
    """The examples by split: train, validation and test, or the requested ones. Each has ``labels``, integers (n,) from
    0, and inputs under the Trainable's own names. Reports show examples of an input named ``images``: uint8 (n, height,
    width), or with 3 or 4 channels.
    """
    statistics: Mapping[str, float] = field(default_factory=dict)
    """Name → value over the training examples: figures that a model standardises by, or that shift when the data does.
    """
    source: str = ""
    """Where the examples come from, in a word."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else identifies this dataset, such as the seed of its split: plain values, which are part of its hash."""
    as_of: str = ""
    """Date or time in ISO 8601 up to which the data was known; for the same source, later is newer. Empty if unknown.
    """


@dataclass(frozen=True)
class Plan:
    """The part of a configuration that the stages of a run use."""

    model: str
    """Name under which versions compete, as :func:`catwalk.ledger.model_names.checked` accepts it."""
    epochs: int
    """Epochs to train, from 1 to :data:`catwalk.ledger.records.training.MOST_PLANNED_EPOCHS`."""
    seed: int | None = None
    """The seed; None derives it from the run id, so that each night differs."""
    synthetic: bool = False
    """Whether the data is synthetic, so that results say nothing about the real task."""
    checkpoint_seconds: float = 10.0
    """Minimum seconds between two checkpoints; 0 writes one after every epoch."""


class Fit(Protocol):
    """A model in training. Its state can be saved and restored between two epochs."""

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the model's bits depend on beside configuration and seed; device, threads and torch are shown."""

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""

    def epochs(self, done: int, check: Callable[[], None]) -> Iterator[EpochRecord]:
        """Trains the remaining epochs, and yields each epoch's record while :meth:`state` is that of the epoch.

        A loss may be NaN or infinite: the caller handles that before it requests the next epoch.

        Args:
            done: The number of epochs that are already trained, in this process or before :meth:`restore`.
            check: A function to call several times per second, which may raise to stop at once.
        """

    def state(self) -> bytes:
        """Everything that a later attempt needs to continue, bit for bit."""

    def restore(self, state: bytes) -> None:
        """Continues from a :meth:`state` of the same configuration and seed.

        Raises:
            ArtifactError: The state is damaged.
        """

    def model(self) -> bytes:
        """The model that is tested and ships: the same bytes for the same weights, such as a safetensors file; never a
        pickle.
        """


@runtime_checkable
class Trainable(Protocol):
    """A model with its data and its settings."""

    @property
    def reference(self) -> str:
        """Its import path: ``package.module:NAME``."""

    @property
    def problem(self) -> Multiclass:
        """The problem that the model solves."""

    @property
    def config(self) -> type[Config]:
        """Its settings. A section named ``gate``, if present, is a :class:`catwalk.gate.config.GateConfig`."""

    def plan(self, config: Any) -> Plan:
        """The part of a configuration that the stages use."""

    def load(self, config: Any) -> Data:
        """Reads the examples and splits them into train, validation and test; the same every time.

        Raises:
            DatasetError: They are missing or damaged.
            DownloadError: They could not be downloaded this time.
        """

    def start(self, config: Any, seed: int, data: Data) -> Fit:
        """A new model that trains on the train split and is measured on the validation split.

        Raises:
            ConfigError: This machine can't train with this configuration.
        """

    def predictor(self, config: Any, model: bytes) -> Predictor:
        """Rebuilds a trained model from its verified bytes and the configuration of its run.

        Raises:
            ArtifactError: The bytes are not such a model, or another version made them.
        """


@runtime_checkable
class Readable(Protocol):
    """A Trainable that reads files as inputs, for `catwalk predict`."""

    def read(self, path: Path, invert: Invert) -> Arrays:
        """One file as the inputs of one example; ``-`` means standard input.

        Raises:
            CatwalkError: It can't be read, or is empty.
        """


@runtime_checkable
class ThreadSafe(Protocol):
    """A Trainable that says whether several threads may call a predictor at the same time: `catwalk serve` then does
    not let them take turns."""

    @property
    def thread_safe(self) -> bool:
        """Whether they may."""


@runtime_checkable
class Previewable(Protocol):
    """A Trainable that draws its examples, so that reports show the model's worst mistakes."""

    def preview(self, inputs: Arrays) -> NDArray[Any]:
        """An image of each of n examples: uint8 (n, height, width), where 0 is black, or with 3 or 4 channels."""


@runtime_checkable
class Upgradable(Protocol):
    """A Trainable that reads settings that an older version of itself stored."""

    def upgrade(self, old_config: dict[str, Any]) -> dict[str, Any]:
        """The settings of a run, as this version would have stored them.

        Args:
            old_config: Section → settings, of any version, including this one.

        Raises:
            ConfigError: This version can't train the same way.
        """


@runtime_checkable
class Dated(Protocol):
    """A Trainable whose data changes daily: a retried run must find the same data."""

    def dated(self, config: Any, begins: datetime) -> Any:
        """The configuration of a run that begins at that time, with an open day of its data filled in."""


@runtime_checkable
class Checkable(Protocol):
    """A Trainable that checks its data, for `catwalk doctor`."""

    def check(self) -> str:
        """Reads all the data; returns a sentence on what it found.

        Raises:
            DownloadError: The data is not on this machine yet, but the first run will download it.
            DatasetError: The data is missing or damaged; after a semicolon, the message says what to do.
        """


def find(reference: str) -> Trainable:
    """The Trainable with this reference. It searches the working directory too.

    Raises:
        ConfigError: There is none; the message says what was found instead.
    """
    if not REFERENCE.fullmatch(reference):
        raise ConfigError(
            f"{reference!r:.100} is not a reference to a Trainable; use package.module:NAME, such as models.churn:CHURN"
        )
    module_name, _, name = reference.partition(":")
    module = _module(module_name, reference)
    found = getattr(module, name, None)
    if found is None:
        raise ConfigError(f"can't find {reference}: module {module_name} has no {name}")
    if isinstance(found, type) or not isinstance(found, Trainable):
        missing = sorted(member for member in _MEMBERS if not hasattr(found, member))
        raise ConfigError(f"{reference} is not a Trainable: it lacks {', '.join(missing) or 'an instance'}")
    return found


_MEMBERS = ("reference", "problem", "config", "plan", "load", "start", "predictor")


def _module(name: str, reference: str) -> Any:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        why = f"there is no module {error.name}"
        raise ConfigError(f"can't import {reference}: {why}; is it on PYTHONPATH, or below this folder?") from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"can't import {reference}: its module raises {reason:.300}") from error


def of_run(record: RunRecord) -> Trainable:
    """The Trainable of a run.

    Raises:
        ConfigError: Its record names none, or one that is not available here.
    """
    if record.problem:
        raise ConfigError(f"run {record.run_id} logged its program's own model, which no Trainable can rebuild")
    if not record.trainable:
        raise ConfigError(
            f"run {record.run_id} was stored by version 0.1 and names no Trainable; `catwalk migrate` fills it in"
        )
    return find(record.trainable)


def config_of(trainable: Trainable, record: RunRecord) -> Config:
    """The configuration of a run for its Trainable, whatever version stored it.

    Raises:
        ConfigError: This version can't read it; without `upgrade`, it must know every setting.
    """
    if isinstance(trainable, Upgradable):
        return trainable.config.from_dict(_upgraded(trainable, record))
    found: Config = trainable.config.from_dict(record.config)
    if found.unknown:
        raise ConfigError(
            f"run {record.run_id} has settings that {trainable.reference} doesn't know "
            f"({', '.join(flat(found.unknown))}), and it has no method `upgrade`"
        )
    return found


def _upgraded(trainable: Upgradable, record: RunRecord) -> dict[str, Any]:
    try:
        return trainable.upgrade(deepcopy(record.config))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"can't upgrade the settings of run {record.run_id}: {reason}") from error


def origin(trainable: Trainable, record: RunRecord) -> Origin | None:
    """The origin that a run's record would have if this were its Trainable; None if the Trainable makes other models,
    or the run logged its own.
    """
    if record.problem:
        return None
    try:
        config = config_of(trainable, record)
    except ConfigError:
        return None
    if spelling(trainable.plan(config).model) != record.model:
        return None
    return Origin(trainable.reference, trainable.problem.classes, trainable.config().flat())


def of_model(record: RunRecord, other: Trainable | None) -> Trainable:
    """The Trainable of a run; if an older version recorded none, `other`, if it makes models of that name.

    Raises:
        ConfigError: See :func:`of_run`.
    """
    if not record.trainable and other and origin(other, record):
        return other
    return of_run(record)
