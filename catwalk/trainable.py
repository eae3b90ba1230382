"""What a model must offer so that Catwalk trains, tests, compares, ships and serves it; and how it is found.

A Trainable is an object at the top of a module: its `reference`, ``package.module:NAME``, is written into every run's
record, and whoever has to compute with a run's model finds it again by that. Modules that hold one are read by DAG
files, so they import torch and the like within methods.
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
    """Name → values, a row an example."""
    Predictor = Callable[[Arrays], NDArray[Any]]
    """Inputs of n examples → logits, float32 (n, classes). Called from several threads, one at a time unless the
    Trainable is :class:`ThreadSafe`."""

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
Invert = Literal["auto", "yes", "no"]
"""Whether a picture is turned into its negative."""


@dataclass(frozen=True)
class Data:
    """Examples in memory."""

    splits: Mapping[str, Arrays]
    """By split: train, validation and test, or those of them that are asked for. Each has ``labels``, whole numbers
    (n,) from 0, and inputs under names of the Trainable's own. Examples of what is called ``images`` are shown in
    reports: uint8 (n, height, width), or with 3 or 4 colours."""
    statistics: Mapping[str, float] = field(default_factory=dict)
    """Name → value, of the training examples: what a model standardises by, and what shifts when the data does."""
    source: str = ""
    """Where they come from, in a word."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else tells this dataset from another one, such as the seed of its split: plain values, part of its hash."""
    as_of: str = ""
    """ISO 8601: the data is what was known then; of the same source, later is newer. Empty: it does not say."""


@dataclass(frozen=True)
class Plan:
    """What of a configuration concerns the stages of a run."""

    model: str
    """Name under which versions compete, such as :func:`catwalk.ledger.model_names.checked` takes."""
    epochs: int
    """That are trained, from 1 to :data:`catwalk.ledger.records.training.MOST_PLANNED_EPOCHS`."""
    seed: int | None = None
    """None: derived from the run id, so that each night differs."""
    synthetic: bool = False
    """The data is made up, and says nothing of the real world."""
    checkpoint_seconds: float = 10.0
    """Shortest time between two checkpoints; 0 writes one after every epoch."""


class Fit(Protocol):
    """A model in training. Between two epochs its state can be saved and restored."""

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the bits of the model depend on beside configuration and seed; device, threads and torch are shown."""

    @property
    def parameters(self) -> int:
        """Trainable parameters."""

    def epochs(self, done: int, check: Callable[[], None]) -> Iterator[EpochRecord]:
        """Trains the epochs that are left, and yields each one's record when :meth:`state` is that epoch's.

        A loss may be NaN or infinite: whoever asks for the next epoch sees to that.

        Args:
            done: epochs that are trained already, in this process or before :meth:`restore`.
            check: is called several times a second, and may raise to stop at once.
        """

    def state(self) -> bytes:
        """All that a later attempt needs to go on, bit for bit."""

    def restore(self, state: bytes) -> None:
        """Continues from what :meth:`state` gave under the same configuration and seed.

        Raises:
            ArtifactError: it is damaged.
        """

    def model(self) -> bytes:
        """What is tested and ships: the same bytes for the same bits, such as a safetensors file; never a pickle."""


@runtime_checkable
class Trainable(Protocol):
    """A model with its data and its settings."""

    @property
    def reference(self) -> str:
        """Where it is found: ``package.module:NAME``."""

    @property
    def problem(self) -> Multiclass:
        """What the model is asked."""

    @property
    def config(self) -> type[Config]:
        """Its settings. A section of the name ``gate``, if it has one, is a :class:`catwalk.gate.config.GateConfig`."""

    def plan(self, config: Any) -> Plan:
        """What of a configuration concerns the stages."""

    def load(self, config: Any) -> Data:
        """Reads the examples and splits them into train, validation and test; the same every time.

        Raises:
            DatasetError: they are missing or damaged.
            DownloadError: they could not be had this time.
        """

    def start(self, config: Any, seed: int, data: Data) -> Fit:
        """A fresh model that learns from the train split and is measured on the validation split.

        Raises:
            ConfigError: this machine can't train so.
        """

    def predictor(self, config: Any, model: bytes) -> Predictor:
        """Rebuilds a trained model, whose bytes were verified, from the configuration of its run.

        Raises:
            ArtifactError: the bytes are no such model, or another version has made them.
        """


@runtime_checkable
class Readable(Protocol):
    """A Trainable whose model can be asked about files: `catwalk predict`."""

    def read(self, path: Path, invert: Invert) -> Arrays:
        """One file as the inputs of one example; ``-`` stands for standard input.

        Raises:
            CatwalkError: it can't be read, or shows nothing.
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
    """A Trainable whose examples can be looked at: reports show the model's worst mistakes."""

    def preview(self, inputs: Arrays) -> NDArray[Any]:
        """A picture of each of n examples: uint8 (n, height, width), 0 is black, or with 3 or 4 colours."""


@runtime_checkable
class Upgradable(Protocol):
    """A Trainable that reads what an older version of itself has stored."""

    def upgrade(self, old_config: dict[str, Any]) -> dict[str, Any]:
        """The settings of a run as this version would have stored them.

        Args:
            old_config: section → settings, of any version, this one included.

        Raises:
            ConfigError: this version can't do the same.
        """


@runtime_checkable
class Dated(Protocol):
    """A Trainable whose data changes by the day: a run that is tried again must find the same."""

    def dated(self, config: Any, begins: datetime) -> Any:
        """The configuration of a run that begins then, with what it leaves open filled in: the day of its data."""


@runtime_checkable
class Checkable(Protocol):
    """A Trainable whose data can be looked for: `catwalk doctor`."""

    def check(self) -> str:
        """What is there, in a sentence; reads it whole.

        Raises:
            DownloadError: it is not here yet, but the first run will fetch it.
            DatasetError: it is missing or damaged; the message says, behind a semicolon, what to do.
        """


def find(reference: str) -> Trainable:
    """The Trainable of that reference. The working directory is searched as well.

    Raises:
        ConfigError: there is none; the message says what is there instead.
    """
    if not REFERENCE.fullmatch(reference):
        raise ConfigError(
            f"{reference!r:.100} names no Trainable; give package.module:NAME, such as models.churn:CHURN"
        )
    module_name, _, name = reference.partition(":")
    module = _module(module_name, reference)
    found = getattr(module, name, None)
    if found is None:
        raise ConfigError(f"{reference} is not there: module {module_name} has no {name}")
    if isinstance(found, type) or not isinstance(found, Trainable):
        missing = sorted(member for member in _MEMBERS if not hasattr(found, member))
        raise ConfigError(f"{reference} is no Trainable: it lacks {', '.join(missing) or 'an instance'}")
    return found


_MEMBERS = ("reference", "problem", "config", "plan", "load", "start", "predictor")


def _module(name: str, reference: str) -> Any:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        why = f"there is no module {error.name}"
        raise ConfigError(
            f"{reference} can't be imported: {why}; is it on PYTHONPATH, or below this folder?"
        ) from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{reference} can't be imported: its module raises {reason:.300}") from error


def of_run(record: RunRecord) -> Trainable:
    """The Trainable of a run.

    Raises:
        ConfigError: its record names none, or one that is not here.
    """
    if record.problem:
        raise ConfigError(
            f"run {record.run_id} has logged a model of its program's own, and no Trainable can rebuild it"
        )
    if not record.trainable:
        raise ConfigError(
            f"run {record.run_id} was stored by version 0.1 and names no Trainable; `catwalk migrate` fills it in"
        )
    return find(record.trainable)


def config_of(trainable: Trainable, record: RunRecord) -> Config:
    """The configuration of a run, for its Trainable to compute with, whatever version has stored it.

    Raises:
        ConfigError: this version can't read it; without `upgrade`, it must know every setting.
    """
    if isinstance(trainable, Upgradable):
        return trainable.config.from_dict(_upgraded(trainable, record))
    found: Config = trainable.config.from_dict(record.config)
    if found.unknown:
        raise ConfigError(
            f"run {record.run_id} has settings that {trainable.reference} does not know "
            f"({', '.join(flat(found.unknown))}), and it has no method `upgrade`"
        )
    return found


def _upgraded(trainable: Upgradable, record: RunRecord) -> dict[str, Any]:
    try:
        return trainable.upgrade(deepcopy(record.config))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"the settings of run {record.run_id} can't be upgraded: {reason}") from error


def origin(trainable: Trainable, record: RunRecord) -> Origin | None:
    """What the record of a run would say of its Trainable, had that been this one; None: it makes other models, or the
    run has logged its own."""
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
    """The Trainable of a run, or where an older version has recorded none, another one that makes models of that name.

    Raises:
        ConfigError: see :func:`of_run`.
    """
    if not record.trainable and other and origin(other, record):
        return other
    return of_run(record)
