"""Every knob of a run, declared once: command-line flags, DAG parameters and logged hyperparameters come from here.

Imports nothing heavy, since DAG files read it each time Airflow parses them.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import textwrap
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from catwalk.errors import ConfigError
from catwalk.ledger.records import flat

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
UNNAMED_CLASSES = dict.fromkeys(("mlp", "mlp-synthetic"), CLASSES)
"""Model → its classes, for records of version 0.1, which name none."""

MAX_EPOCHS = 200
"""Each epoch is a label value in Prometheus; this caps the series that one run can make."""


@dataclass(frozen=True)
class Bounds:
    """The values that make sense for a number. Command line, form and :meth:`check` all take them from here."""

    low: float
    high: float
    above: bool = False
    """Whether the lowest value itself is excluded."""
    multiple_of: int = 1

    def check(self, name: str, value: float) -> None:
        """
        Raises:
            ConfigError: the value is outside; the message names the setting.
        """
        inside = (value > self.low if self.above else value >= self.low) and value <= self.high  # NaN is not
        lowest = f"{'above' if self.above else 'at least'} {self.low}"
        _require(inside, name, value, f"{lowest} and at most {self.high}")
        if self.multiple_of != 1:
            _require(value % self.multiple_of == 0, name, value, f"a multiple of {self.multiple_of}")


def _number(default: float | None, low: float, high: float, *, above: bool = False, multiple_of: int = 1) -> Any:
    """A field of a configuration that has bounds."""
    return field(default=default, metadata={"bounds": Bounds(low, high, above, multiple_of)})


def _require(condition: bool, knob: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{knob} must be {expected}, not {value!r:.100}")


@dataclass(frozen=True)
class _Section:
    """Settings that are checked as they are made; None means that a setting is not set."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            bounds, value = item.metadata.get("bounds"), getattr(self, item.name)
            if bounds and value is not None:
                bounds.check(item.name, value)


@dataclass(frozen=True)
class DataConfig(_Section):
    """Which examples a run sees."""

    source: Literal["fashion-mnist", "synthetic"] = "fashion-mnist"
    """Dataset: the real Fashion-MNIST, or drawn stand-in garments in the same format (for trying things out)."""
    train_examples: int = _number(55_000, 10, 59_990, multiple_of=10)
    """Training examples to use, at most 60,000 less those for validation; fewer leaves room for newer data later."""
    validation_examples: int = _number(5_000, 10, 30_000, multiple_of=10)
    """Examples held back from the 60,000 for validation, the same number in each class."""
    split_seed: int = _number(20_170_825, 0, 2**32 - 1)
    """Seed of the train/validation split; part of the dataset's hash."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.source in ("fashion-mnist", "synthetic"), "source", self.source, "fashion-mnist or synthetic")
        Bounds(10, 60_000 - self.validation_examples).check("train_examples", self.train_examples)


@dataclass(frozen=True)
class NetworkConfig(_Section):
    """The multilayer perceptron's shape."""

    hidden: tuple[int, ...] = (512, 512)
    """Units in each hidden layer, e.g. 512,512."""
    dropout: float = _number(0.2, 0.0, 0.9)
    """Share of hidden activations dropped while training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(len(self.hidden) <= 8, "hidden", self.hidden, "at most 8 layers")
        for units in self.hidden:
            Bounds(1, 8_192).check("hidden", units)


@dataclass(frozen=True)
class TrainingConfig(_Section):
    """How the weights are found: stochastic gradient descent with Nesterov momentum and a one-cycle rate."""

    epochs: int = _number(18, 1, MAX_EPOCHS)
    """Passes over the training examples."""
    batch_size: int = _number(256, 1, 60_000)
    """Examples per optimiser step."""
    peak_learning_rate: float = _number(0.1, 0.0, 1e6, above=True)
    """Highest learning rate of the one-cycle schedule."""
    warmup: float = _number(0.3, 0.0, 0.95)
    """Share of all steps in which the rate rises to its peak; then it anneals to almost 0."""
    momentum: float = _number(0.9, 0.0, 0.999)
    """Momentum (Nesterov) at the peak of the rate."""
    weight_decay: float = _number(2e-4, 0.0, 1.0)
    """L2 penalty on all parameters."""
    seed: int | None = _number(None, 0, 2**63 - 1)
    """Seed of initial weights, shuffling and dropout; empty: derived from the run id, so that each night differs."""
    device: str = "auto"
    """Where to train: auto (a GPU when there is one), cpu, cuda, cuda:0 … or mps."""
    threads: int = _number(2, 1, 256)
    """CPU threads for PyTorch. The weights' last bits depend on it."""
    checkpoint_seconds: float = _number(10.0, 0.0, 3_600.0)
    """Shortest time between two checkpoints, in seconds; 0 writes one after every epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = self.device.partition(":")[0]
        _require(kind in ("auto", "cpu", "cuda", "mps"), "device", self.device, "auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True)
class GateConfig(_Section):
    """When a challenger may ship."""

    accuracy_floor: float = _number(0.88, 0.0, 1.0)
    """Lowest test accuracy that may ship, as a ratio."""
    recall_floor: float = _number(0.6, 0.0, 1.0)
    """Lowest recall of any class that may ship, as a ratio."""
    calibration_cap: float = _number(0.05, 0.0, 1.0)
    """Highest expected calibration error that may ship, as a ratio."""
    significance: float = _number(0.01, 0.0, 0.5, above=True)
    """Level of McNemar's exact test, above which two models count as equally good; small, for one test set decides
    night after night."""
    margin: float = _number(0.005, 0.0, 1.0)
    """By how much accuracy a challenger may be worse than champion and anchor, as a ratio, and still replace them for
    its newer data."""
    class_significance: float = _number(0.05, 0.0, 0.5, above=True)
    """Level, corrected for all classes together, at which a class counts as worse."""
    model_bytes_cap: int | None = _number(None, 1, 10**12)
    """Largest size of the weights that may ship, in bytes; empty: any."""
    inference_seconds_cap: float | None = _number(None, 0.0, 3_600.0, above=True)
    """Longest time to score 1,000 images that may ship, in seconds; empty: any."""


@dataclass(frozen=True)
class RunConfig:
    """The whole configuration of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    unknown: dict[str, Any] = field(default_factory=dict)
    """What another version has stored and this one can't read, by section; kept as it was written."""

    @property
    def model(self) -> str:
        """Name under which versions of this model compete; stand-in data never competes with real data."""
        return "mlp" if self.data.source == "fashion-mnist" else "mlp-synthetic"

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the model tells apart, in label order."""
        return list(CLASSES)

    @property
    def digest(self) -> str:
        """sha256 of the configuration in canonical JSON: equal digests mean equal knobs."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        values = {section: dataclasses.asdict(getattr(self, section)) for section in _sections()}
        for section, kept in self.unknown.items():
            values[section] = {**values[section], **kept} if section in values else kept
        return json.loads(json.dumps(values))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """Inverse of :meth:`to_dict`, for what some version has stored: nothing is refused for being out of bounds,
        and settings that this version doesn't know are kept.

        Raises:
            ConfigError: a section is no object.
        """
        for name in _sections():
            _require(isinstance(values.get(name, {}), dict), name, values.get(name), "an object with settings")
        sections = {name: _Stored(kind, values.get(name, {})) for name, kind in _sections().items()}
        unknown = {name: stored.unknown for name, stored in sections.items() if stored.unknown}
        unknown |= {name: section for name, section in values.items() if name not in sections}
        return cls(**{name: stored.config for name, stored in sections.items()}, unknown=unknown)

    def flat(self) -> dict[str, Any]:
        """One level of knob name → value, as in a table of parameters."""
        return flat(self.to_dict())

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
        return cls(**{section: _sections()[section](**fields) for section, fields in sections.items()})


@cache
def _sections() -> dict[str, Any]:
    """Name of each section of :class:`RunConfig` → its class."""
    return {name: kind for name, kind in get_type_hints(RunConfig).items() if dataclasses.is_dataclass(kind)}


class _Stored:
    """A section as some version has stored it."""

    def __init__(self, kind: Any, settings: dict[str, Any]) -> None:
        self.config = object.__new__(kind)
        """Unchecked, since bounds may have changed; what is missing has today's default."""
        self.unknown = dict(settings)
        """What is left: settings without a field, or with a value of another type."""
        known = {knob.name: knob for knob in knobs()}
        for item in dataclasses.fields(kind):
            value = item.default
            if item.name in settings:
                with suppress(ConfigError):
                    value = known[item.name].coerce(settings[item.name])
                    del self.unknown[item.name]
            object.__setattr__(self.config, item.name, value)


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
    bounds: Bounds | None

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
            if isinstance(value, bool) or (self.type is str and not isinstance(value, str)):
                raise ValueError
            return self.type(value)
        except (OverflowError, TypeError, ValueError):
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
    for section, config in _sections().items():
        hints, docs = get_type_hints(config), field_docs(config)
        for item in dataclasses.fields(config):
            hint = hints[item.name]
            options = [option for option in get_args(hint) if option is not type(None)]
            nullable = type(None) in get_args(hint)
            literal = get_origin(hint) is Literal
            is_tuple = get_origin(hint) is tuple
            kind = str if literal or is_tuple else options[0] if nullable else hint
            choices = tuple(options) if literal else ()
            bounds = item.metadata.get("bounds")
            found.append(
                Knob(section, item.name, item.default, docs[item.name], kind, nullable, choices, is_tuple, bounds)
            )
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
