"""Every knob of a run, declared once: command-line flags, DAG parameters and logged hyperparameters come from here.

Imports nothing heavy, since DAG files read it each time Airflow parses them.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import math
import textwrap
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ml.errors import ConfigError

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
"""Fashion-MNIST's ten classes in label order, spelled so that they are safe in a StatsD tag."""

CHAMPION_ASSET = "catwalk_champion"
"""Name under which orchestrators are told that a model went into service."""
MAX_EPOCHS = 200
"""Each epoch is a label value in Prometheus; this caps the series that one run can make."""


def _require(condition: bool, knob: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{knob} must be {expected}, not {value!r}")


def _between(knob: str, value: float, low: float, high: float, *, low_open: bool = False) -> None:
    inside = (value > low if low_open else value >= low) and value <= high
    _require(
        math.isfinite(value) and inside, knob, value, f"{'above' if low_open else 'at least'} {low} and at most {high}"
    )


@dataclass(frozen=True)
class DataConfig:
    """Which examples a run sees."""

    source: Literal["fashion-mnist", "synthetic"] = "fashion-mnist"
    """Dataset: the real Fashion-MNIST, or drawn stand-in garments in the same format (for trying things out)."""
    train_examples: int = 55_000
    """Training examples to use, at most 55,000; fewer leaves room for "newer data" later."""
    validation_examples: int = 5_000
    """Examples held back from the 60,000 for validation, the same number in each class."""
    split_seed: int = 20_170_825
    """Seed of the train/validation split; part of the dataset's hash."""

    def __post_init__(self) -> None:
        _require(self.source in ("fashion-mnist", "synthetic"), "source", self.source, "fashion-mnist or synthetic")
        _between("validation_examples", self.validation_examples, 10, 30_000)
        _require(
            self.validation_examples % 10 == 0, "validation_examples", self.validation_examples, "a multiple of 10"
        )
        _between("train_examples", self.train_examples, 10, 60_000 - self.validation_examples)
        _require(self.train_examples % 10 == 0, "train_examples", self.train_examples, "a multiple of 10")
        _between("split_seed", self.split_seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class NetworkConfig:
    """The multilayer perceptron's shape."""

    hidden: tuple[int, ...] = (512, 512)
    """Units in each hidden layer, e.g. 512,512."""
    dropout: float = 0.2
    """Share of hidden activations dropped while training."""

    def __post_init__(self) -> None:
        _require(len(self.hidden) <= 8, "hidden", self.hidden, "at most 8 layers")
        for units in self.hidden:
            _between("hidden", units, 1, 8_192)
        _between("dropout", self.dropout, 0.0, 0.9)


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found: stochastic gradient descent with Nesterov momentum and a one-cycle rate."""

    epochs: int = 18
    """Passes over the training examples."""
    batch_size: int = 256
    """Examples per optimiser step."""
    peak_learning_rate: float = 0.1
    """Highest learning rate of the one-cycle schedule."""
    warmup: float = 0.3
    """Share of all steps in which the rate rises to its peak; then it anneals to almost 0."""
    momentum: float = 0.9
    """Momentum (Nesterov) at the peak of the rate."""
    weight_decay: float = 2e-4
    """L2 penalty on all parameters."""
    seed: int | None = None
    """Seed of initial weights, shuffling and dropout; empty: derived from the run id, so that each night differs."""
    device: str = "auto"
    """Where to train: auto (a GPU when there is one), cpu, cuda, cuda:0 … or mps."""
    threads: int = 2
    """CPU threads for PyTorch. The weights' last bits depend on it."""
    checkpoint_seconds: float = 10.0
    """Shortest time between two checkpoints, in seconds; 0 writes one after every epoch."""

    def __post_init__(self) -> None:
        _between("epochs", self.epochs, 1, MAX_EPOCHS)
        _between("batch_size", self.batch_size, 1, 60_000)
        _between("peak_learning_rate", self.peak_learning_rate, 0.0, 1e6, low_open=True)
        _between("warmup", self.warmup, 0.0, 0.95)
        _between("momentum", self.momentum, 0.0, 0.999)
        _between("weight_decay", self.weight_decay, 0.0, 1.0)
        if self.seed is not None:
            _between("seed", self.seed, 0, 2**63 - 1)
        kind = self.device.partition(":")[0]
        _require(kind in ("auto", "cpu", "cuda", "mps"), "device", self.device, "auto, cpu, cuda, cuda:N or mps")
        _between("threads", self.threads, 1, 256)
        _between("checkpoint_seconds", self.checkpoint_seconds, 0.0, 3_600.0)


@dataclass(frozen=True)
class GateConfig:
    """When a challenger may ship."""

    accuracy_floor: float = 0.88
    """Lowest test accuracy that may ship, as a ratio."""
    recall_floor: float = 0.6
    """Lowest recall of any class that may ship, as a ratio."""
    calibration_cap: float = 0.05
    """Highest expected calibration error that may ship, as a ratio."""
    significance: float = 0.01
    """Level of McNemar's exact test, above which two models count as equally good; small, for one test set decides
    night after night."""
    margin: float = 0.005
    """By how much accuracy a challenger may be worse than champion and anchor, as a ratio, and still replace them for
    its newer data."""
    class_significance: float = 0.05
    """Level, corrected for all classes together, at which a class counts as worse."""
    model_bytes_cap: int | None = None
    """Largest size of the weights that may ship, in bytes; empty: any."""
    inference_seconds_cap: float | None = None
    """Longest time to score 1,000 images that may ship, in seconds; empty: any."""

    def __post_init__(self) -> None:
        for knob in ("accuracy_floor", "recall_floor", "calibration_cap", "margin"):
            _between(knob, getattr(self, knob), 0.0, 1.0)
        for knob in ("significance", "class_significance"):
            _between(knob, getattr(self, knob), 0.0, 0.5, low_open=True)
        if self.model_bytes_cap is not None:
            _between("model_bytes_cap", self.model_bytes_cap, 1, 10**12)
        if self.inference_seconds_cap is not None:
            _between("inference_seconds_cap", self.inference_seconds_cap, 0.0, 3_600.0, low_open=True)


@dataclass(frozen=True)
class RunConfig:
    """The whole configuration of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)

    @property
    def model(self) -> str:
        """Name under which versions of this model compete; stand-in data never competes with real data."""
        return "mlp" if self.data.source == "fashion-mnist" else "mlp-synthetic"

    @property
    def digest(self) -> str:
        """sha256 of the configuration in canonical JSON: equal digests mean equal knobs."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain values, for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> RunConfig:
        """Inverse of :meth:`to_dict`."""
        return cls.from_flat({name: value for section in values.values() for name, value in section.items()})

    def flat(self) -> dict[str, Any]:
        """One level of knob name → value, as in a table of parameters."""
        return {name: value for section in self.to_dict().values() for name, value in section.items()}

    @classmethod
    def from_flat(cls, values: dict[str, Any]) -> RunConfig:
        """Builds a configuration from knob names (see :func:`knobs`); knobs not named keep their default.

        Raises:
            ConfigError: an unknown knob, a value of the wrong type, or an absurd one. The message names the knob.
        """
        known = {knob.name: knob for knob in knobs()}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]!r}; known ones are {', '.join(sorted(known))}")
        sections: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            sections.setdefault(known[name].section, {})[name] = known[name].coerce(value)
        hints = get_type_hints(cls)
        return cls(**{section: hints[section](**fields) for section, fields in sections.items()})


@dataclass(frozen=True)
class Knob:
    """One setting as a command line or a form shows it."""

    section: str
    name: str
    default: Any
    help: str
    type: type
    """One of bool, int, float, str; a tuple of ints is given as text such as ``512,512`` (type str)."""
    nullable: bool
    choices: tuple[str, ...]
    is_tuple: bool

    def coerce(self, value: Any) -> Any:
        """Turns what a form, a command line or JSON gives into the field's own type."""
        if self.nullable and value in (None, ""):
            return None
        try:
            if self.is_tuple:
                parts = value.replace(",", " ").split() if isinstance(value, str) else value
                return tuple(_whole(part) for part in parts)
            if self.type is int:
                return _whole(value)
            if self.type is float and isinstance(value, bool):
                raise ValueError
            return self.type(value)
        except (TypeError, ValueError):
            expected = "whole numbers such as 512,512" if self.is_tuple else f"of type {self.type.__name__}"
            raise ConfigError(f"{self.name} must be {expected}, not {value!r}") from None

    @property
    def text_default(self) -> Any:
        """The default as a form shows it."""
        return ",".join(map(str, self.default)) if self.is_tuple else self.default


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


@cache
def knobs() -> tuple[Knob, ...]:
    """Every knob in declaration order, with the help text written under its field."""
    found = []
    for section, config in get_type_hints(RunConfig).items():
        hints, docs = get_type_hints(config), field_docs(config)
        for item in dataclasses.fields(config):
            hint = hints[item.name]
            options = [option for option in get_args(hint) if option is not type(None)]
            nullable = type(None) in get_args(hint)
            literal = get_origin(hint) is Literal
            is_tuple = get_origin(hint) is tuple
            kind = str if literal or is_tuple else options[0] if nullable else hint
            choices = tuple(options) if literal else ()
            knob = Knob(section, item.name, item.default, docs[item.name], kind, nullable, choices, is_tuple)
            found.append(knob)
    return tuple(found)


def knob_text(name: str, value: Any) -> str:
    """A knob's value as people read it; one that is not set is ``none``, but a seed is derived then."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return ("derived" if name == "seed" else "none") if value is None else str(value)


def field_docs(config: type) -> dict[str, str]:
    """The string literal after each field of a dataclass, which Python itself does not keep."""
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs
