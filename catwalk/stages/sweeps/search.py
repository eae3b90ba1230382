"""The trials of a sweep: every combination of the given values, or a number of random draws.

This module imports nothing heavy, because the DAG file shows these settings as a form.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from catwalk.errors import ConfigError
from catwalk.knobs import Config, Knob, knobs

MAX_TRIALS = 200
"""Maximum number of trials: each is a run with its own series in Prometheus."""
_SHAPES = "a list of values, or for a random search a range such as {'low': 0.01, 'high': 0.2, 'log': true}"
_DRAWS = 100
"""Maximum number of draws for a trial, until it differs from all previous ones."""

Trial = dict[str, Any]
"""Knob → value, for the knobs that a sweep varies."""


@dataclass(frozen=True)
class SearchConfig:
    """The search of a sweep."""

    space: Mapping[str, Any]
    """The search space: knob → a list of values, or for a random search a range, such as {"low": 0.01, "high": 0.2,
    "log": true}, including both ends.
    """
    search: Literal["grid", "random"] = "grid"
    """The search method: grid tries every combination of the lists, random draws distinct combinations."""
    trials: int = 8
    """Number of trials of a random search, and the limit for a grid."""
    search_seed: int | None = None
    """Seed of the random search; empty derives it from the sweep, so that each sweep draws other combinations."""

    def __post_init__(self) -> None:
        if self.search not in ("grid", "random"):
            raise ConfigError(f"search must be grid or random, not {self.search!r}")
        _whole_number("trials", self.trials, 1, MAX_TRIALS)
        if self.search_seed is not None:
            _whole_number("search_seed", self.search_seed, 0, 2**32 - 1)
        if not isinstance(self.space, Mapping) or not self.space:
            raise ConfigError('space must name at least one knob, such as {"epochs": [5, 10]}')

    def plan(self, config: type[Config], base: Mapping[str, Any], sweep_id: str) -> list[Trial]:
        """The trials in order; the same at every call.

        Args:
            config: The configuration with the knobs.
            base: The knobs that all trials share.
            sweep_id: The source of the random search's seed, if none is set.

        Raises:
            ConfigError: The space is invalid, or a trial would have an invalid configuration; the message names the
                knob.
        """
        varied = {name: _varied_knob(config, name) for name in self.space}
        for name, values in self.space.items():
            _check_dimension(varied[name], values, self.search)
        if self.search == "grid" and (count := math.prod(map(len, self.space.values()))) > self.trials:
            raise ConfigError(
                f"the grid has {count} trials, but trials is {self.trials}: raise it, or use search=random"
            )
        combinations = (
            self._grid()
            if self.search == "grid"
            else self._random(varied, sweep_id if self.search_seed is None else self.search_seed)
        )
        trials = [dict(zip(self.space, values, strict=True)) for values in combinations]
        for trial in trials:
            config.from_flat({**base, **trial})
        return trials

    def _grid(self) -> Iterator[tuple[Any, ...]]:
        return itertools.product(*self.space.values())

    def _random(self, varied: Mapping[str, Knob], seed: int | str) -> Iterator[tuple[Any, ...]]:
        """Distinct combinations; fewer than requested if there are no more."""
        generator = random.Random(seed)
        seen: set[str] = set()
        for _ in range(_DRAWS * self.trials):
            values = tuple(_draw(generator, varied[name], among) for name, among in self.space.items())
            known = json.dumps(values)
            if known not in seen:
                seen.add(known)
                yield values
            if len(seen) == self.trials:
                return


def _varied_knob(config: type[Config], name: str) -> Knob:
    known = {knob.name: knob for knob in knobs(config)}
    if name not in known:
        raise ConfigError(f"space has an unknown knob {name!r}; the knobs are {', '.join(sorted(known))}")
    knob = known[name]
    if knob.section == "gate":
        raise ConfigError(f"{name} can't vary within a sweep: it belongs to the gate, and doesn't affect a trial")
    if not knob.varies:
        raise ConfigError(f"{name} can't vary within a sweep: trials are compared on one validation split")
    return knob


def _check_dimension(knob: Knob, values: Any, search: str) -> None:
    if isinstance(values, list | tuple):
        if not values:
            raise ConfigError(f"space has no values for {knob.name}; add some, or leave the knob out")
        if len({json.dumps(value) for value in values}) < len(values):
            raise ConfigError(f"space has a value of {knob.name} twice")
        for value in values:
            knob.coerce(value)
        return
    if not isinstance(values, Mapping):
        raise ConfigError(f"space must give {knob.name} {_SHAPES}, not {values!r}")
    if search == "grid":
        raise ConfigError(f"a grid needs a list of values for {knob.name}; for a range, use search=random")
    if knob.type is str:
        raise ConfigError(f"{knob.name} is not a number, so it can't have a range; give its values in a list")
    low, high, log = values.get("low", math.nan), values.get("high", math.nan), values.get("log", False)
    if set(values) - {"low", "high", "log"} or not _is_number(low) or not _is_number(high) or not isinstance(log, bool):
        raise ConfigError(f"space must give {knob.name} {_SHAPES}, not {dict(values)!r}")
    if not low < high or (log and low <= 0):
        raise ConfigError(f"{knob.name}: low must be below high" + (" and above 0" if log else ""))
    for value in (low, high):
        knob.coerce(value)


def _draw(generator: random.Random, knob: Knob, among: Any) -> Any:
    if not isinstance(among, Mapping):
        return generator.choice(among)
    low, high = among["low"], among["high"]
    top = high + 1 if knob.type is int else high  # otherwise the highest integer would hardly ever be drawn
    if among.get("log"):
        value = math.exp(generator.uniform(math.log(low), math.log(top)))
    else:
        value = generator.uniform(low, top)
    value = math.floor(value) if knob.type is int else float(f"{value:.4g}")
    return min(max(value, low), high)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole_number(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be an integer from {low} to {high}, not {value!r}")
