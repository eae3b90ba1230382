"""Settings as frozen dataclasses: the source of command-line flags, DAG parameters and logged hyperparameters.

A configuration is a :class:`Config` whose fields are sections (:class:`Section`). Each field of a section is a knob,
and the text below the field is its help. This module imports nothing heavy, because DAG files import it each time
Airflow parses them.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from catwalk.errors import ConfigError
from catwalk.ledger.records.values import flat

S = TypeVar("S")
_NOT_SET = {"seed": "derived", "threads": "auto"}
Ailment = Literal["memory", "divergence"]
"""The problem that a lower value of a setting helps against: lack of memory, or a loss that is not finite."""


@dataclass(frozen=True)
class Bounds:
    """The range of a number. The command line, the form and :meth:`check` all use it."""

    low: float
    high: float
    above: bool = False
    """Whether the lowest value itself is excluded."""
    multiple_of: int = 1

    def check(self, name: str, value: float) -> None:
        """
        Raises:
            ConfigError: The value is out of range; the message names the setting.
        """
        inside = (value > self.low if self.above else value >= self.low) and value <= self.high  # NaN is not
        lowest = f"{'above' if self.above else 'at least'} {self.low}"
        require(inside, name, value, f"{lowest} and at most {self.high}")
        if self.multiple_of != 1:
            require(value % self.multiple_of == 0, name, value, f"a multiple of {self.multiple_of}")


def number(
    default: float | None,
    low: float,
    high: float,
    *,
    above: bool = False,
    multiple_of: int = 1,
    helps: Ailment | None = None,
    varies: bool | None = None,
) -> Any:
    """A numeric setting with bounds.

    Args:
        default: The default; None if the setting is optional.
        low: The lowest value.
        high: The highest value.
        above: Whether the lowest value itself is excluded.
        multiple_of: The number that the value must be a multiple of.
        helps: See :func:`setting`.
        varies: See :func:`setting`.
    """
    return setting(default, helps=helps, varies=varies, bounds=Bounds(low, high, above, multiple_of))


def setting(
    default: Any, *, helps: Ailment | None = None, varies: bool | None = None, bounds: Bounds | None = None
) -> Any:
    """A field of a section with more information than its type.

    Args:
        default: The value if none is given.
        helps: The problem that a lower value helps against; errors then suggest lowering it.
        varies: Whether trials of one sweep may differ in it; None means yes, except in sections named ``data`` and
            ``gate``.
        bounds: The bounds of a number.
    """
    return field(default=default, metadata={"bounds": bounds, "helps": helps, "varies": varies})


def require(condition: bool, knob: str, value: object, expected: str) -> None:
    """
    Raises:
        ConfigError: The condition doesn't hold; the message says what the knob must be.
    """
    if not condition:
        raise ConfigError(f"{knob} must be {expected}, not {value!r:.100}")


@dataclass(frozen=True)
class Section:
    """Settings that are checked when they are created; None means that a setting is not set."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            bounds, value = item.metadata.get("bounds"), getattr(self, item.name)
            if bounds and value is not None:
                bounds.check(item.name, value)


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run: each field of a subclass is a :class:`Section`."""

    unknown: dict[str, Any] = field(default_factory=dict, kw_only=True)
    """Settings of another version that this one can't read, by section; kept as they were stored."""

    @property
    def digest(self) -> str:
        """sha256 of the configuration in canonical JSON: equal digests mean equal knobs."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        values = {section: dataclasses.asdict(getattr(self, section)) for section in _sections(type(self))}
        for section, kept in self.unknown.items():
            values[section] = {**values[section], **kept} if section in values else kept
        return json.loads(json.dumps(values))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`, for settings that any version stored. It doesn't check bounds, and keeps settings
        that this version doesn't know.

        Raises:
            ConfigError: A section is not an object.
        """
        sections = {name: _Stored(kind, _section(values, name)) for name, kind in _sections(cls).items()}
        unknown = {name: stored.unknown for name, stored in sections.items() if stored.unknown}
        unknown |= {name: section for name, section in values.items() if name not in sections}
        return cls(**{name: stored.config for name, stored in sections.items()}, unknown=unknown)

    def flat(self) -> dict[str, Any]:
        """Knob name → value, in one level, as in a table of parameters."""
        return flat(self.to_dict())

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Self:
        """Builds a configuration from knob names (see :func:`knobs`); other knobs keep their default.

        Raises:
            ConfigError: A knob is unknown, or a value is invalid or of the wrong type. The message names the knob.
        """
        known = {knob.name: knob for knob in knobs(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(known))}")
        sections: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            sections.setdefault(known[name].section, {})[name] = known[name].coerce(value)
        return cls(**{section: _sections(cls)[section](**fields) for section, fields in sections.items()})


def _sections(config: type[Config]) -> dict[str, Any]:
    """Name of each section of a configuration → its class."""
    return {name: kind for name, kind in get_type_hints(config).items() if dataclasses.is_dataclass(kind)}


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name, {})
    require(isinstance(found, dict), name, found, "an object with settings")
    return dict(found)


class _Stored:
    """A section as any version stored it."""

    def __init__(self, kind: Any, settings: dict[str, Any]) -> None:
        self.config = object.__new__(kind)
        """The section, unchecked because bounds may have changed; missing settings have this version's default."""
        self.unknown = dict(settings)
        """The rest: settings without a field, or with a value of another type."""
        known = {knob.name: knob for knob in _knobs_of("", kind)}
        for item in dataclasses.fields(kind):
            value = item.default
            if item.name in settings:
                with suppress(ConfigError):
                    value = known[item.name].coerce(settings[item.name])
                    del self.unknown[item.name]
            object.__setattr__(self.config, item.name, value)


def stored_section(kind: type[S], values: Mapping[str, Any], name: str) -> S:
    """One section of a configuration that any version stored, read like :meth:`Config.from_dict`.

    Args:
        kind: The section's class.
        values: The whole configuration, nested.
        name: The section's name; if it is missing, every setting has its default.

    Raises:
        ConfigError: It is not an object.
    """
    found: S = _Stored(kind, _section(values, name)).config
    return found


@dataclass(frozen=True)
class Knob:
    """One setting, as shown on a command line or in a form."""

    section: str
    name: str
    default: Any
    help: str
    type: type
    """One of bool, int, float and str; a tuple of ints is text such as ``512,512`` (type str)."""
    nullable: bool
    choices: tuple[str, ...]
    is_tuple: bool
    bounds: Bounds | None
    helps: Ailment | None
    """See :func:`setting`."""
    varies: bool
    """Whether trials of one sweep may differ in it."""

    def coerce(self, value: Any) -> Any:
        """Converts a value from a form, a command line or JSON to the field's type.

        Raises:
            ConfigError: The value can't be converted.
        """
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
        """The default, as a form shows it."""
        return ",".join(map(str, self.default)) if self.is_tuple else self.default


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def knobs(config: type[Config]) -> tuple[Knob, ...]:
    """Every knob of a configuration in declaration order, with the help text written under its field."""
    return tuple(knob for section, kind in _sections(config).items() for knob in _knobs_of(section, kind))


@cache
def _knobs_of(section: str, kind: Any) -> tuple[Knob, ...]:
    hints, docs = get_type_hints(kind), field_docs(kind)
    return tuple(_knob(section, item, hints[item.name], docs[item.name]) for item in dataclasses.fields(kind))


def _knob(section: str, item: dataclasses.Field[Any], hint: Any, help: str) -> Knob:
    options = [option for option in get_args(hint) if option is not type(None)]
    nullable = type(None) in get_args(hint)
    literal, is_tuple = get_origin(hint) is Literal, get_origin(hint) is tuple
    varies = item.metadata.get("varies")
    return Knob(
        section=section,
        name=item.name,
        default=item.default,
        help=help,
        type=str if literal or is_tuple else options[0] if nullable else hint,
        nullable=nullable,
        choices=tuple(options) if literal else (),
        is_tuple=is_tuple,
        bounds=item.metadata.get("bounds"),
        helps=item.metadata.get("helps"),
        varies=section not in ("data", "gate") if varies is None else varies,
    )


def knob_text(name: str, value: Any) -> str:
    """A knob's value for people: ``none`` if it is not set, except for a seed or threads, which are then derived."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return _NOT_SET.get(name, "none") if value is None else str(value)


def described(values: Mapping[str, Any]) -> str:
    """Several knobs for people: ``dropout=0.2 hidden=512,512``."""
    return " ".join(f"{name}={knob_text(name, value)}" for name, value in values.items())


def advice(config: Config, ailment: Ailment) -> str:
    """The settings to lower: ``hidden (now 512,512) or batch_size (now 256)``; empty if no setting helps."""
    values = config.flat()
    helping = [knob.name for knob in knobs(type(config)) if knob.helps == ailment]
    named = [f"{name} (now {_grouped(name, values[name])})" for name in helping]
    return " or ".join(filter(None, (", ".join(named[:-1]), *named[-1:])))


def _grouped(name: str, value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else knob_text(name, value)


def field_docs(config: type) -> dict[str, str]:
    """Field → the string literal after it in a dataclass, which Python itself does not keep."""
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs
