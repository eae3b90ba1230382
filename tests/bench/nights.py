"""A year of nights on the feed of Fashion-MNIST: real pictures, real retraining, the shipped rule, and each drift.

Each night a model learns from all that has arrived, by least squares on random features of the pictures, of which each
model sees a part of its own: about as accurate as a small network, and trained in milliseconds. It is offered to the
gate as newer data. Either the recipe stays, or it is a little worse after each ship because it sees fewer features.

`python -m tests.bench.nights` writes docs/nights.md, in about nine minutes of one idle core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from catwalk.gate.anchor import SHORTEST_STAND, Figures, anchor_fresh
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import better, not_inferior, paired_test, ship_or_hold
from catwalk.ledger.records.decision import Verdict
from catwalk.problems.comparison import PairedTest
from catwalk.problems.paired.differences import Discordance
from ml.fashion_mnist import drifts, feed
from ml.fashion_mnist.config import CLASSES, DataConfig
from ml.fashion_mnist.dataset import _published_files, _tensors
from stack.settings import PROJECT

PAGE = PROJECT / "docs" / "nights.md"
SEEDS = range(1, 6)
"""Seeds of the models; what arrives is the same in each year."""
NIGHTS = 365
FIRST = 1
"""Day of the feed on which the first champion is trained."""
FEATURES, SEEN = 500, 450
"""Random features of a picture, and those that a model of the first recipe sees."""
SINKING = 0.99
"""The share of a recipe's features that the next recipe sees."""
RIDGE = 30.0
CONFIG = GateConfig()
BEGIN = "2026-03-01"
"""Two months into the year, from when on what arrives has changed."""
SCHEDULES = {
    "none": "", "brightness × 0.6": f"{BEGIN} brightness", "rotation by 15°": f"{BEGIN} rotation",
    "shirts × 4": f"{BEGIN} class-mix", "10 % wrong labels": f"{BEGIN} label-noise",
}  # fmt: skip
Floats = NDArray[Any]
Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Examples:
    """Some examples in the order of their arrival."""

    day: NDArray[np.int64]
    features: Floats
    """(n, FEATURES + 1), float32; the last is 1."""
    labels: NDArray[np.int64]

    def until(self, day: int) -> int:
        """How many have arrived by a day."""
        return int(np.searchsorted(self.day, day, side="right"))


@dataclass(frozen=True, eq=False)
class World:
    """What arrives under one schedule, and 10,000 other pictures that look as what arrives at its end."""

    train: Examples
    test: Examples
    eyes: Examples
    weights: Floats
    """The weight of each class among those: a class mix makes one more common."""


@cache
def _projection() -> tuple[Floats, Floats]:
    generator = np.random.default_rng(20_170_825)
    weights = generator.standard_normal((784, FEATURES), dtype=np.float32) / 28
    return weights, generator.standard_normal(FEATURES, dtype=np.float32)


def features(images: NDArray[np.uint8]) -> Floats:
    """Rectified random sums of the pixels, and a 1."""
    weights, offsets = _projection()
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255 - np.float32(0.2860)
    return np.hstack([np.maximum(pixels @ weights * 4 + offsets, 0), np.ones((len(images), 1), np.float32)])


def world(files: Mapping[str, bytes], schedule: str) -> World:
    """Everything that arrives in a year, as features."""
    config = DataConfig(source="feed", feed_days=NIGHTS, drifts=schedule)
    images, labels = (tensor.numpy().copy() for tensor in _tensors(dict(files), "train"))
    keys = feed.Keys.of(images)
    day, order = keys.days(config), np.argsort(keys.arrival, kind="stable")
    comes = feed.coming(keys, labels, day, config)
    arrays = feed.drifted(images, labels, day, keys.noise, config)
    held_back = keys.places(config.split_seed) * len(labels) * (1 - feed.TEST_SHARE) < config.validation_examples

    def those(rows: Rows) -> Examples:
        chosen = order[rows[order]]
        return Examples(day[chosen], features(arrays["images"][chosen]), arrays["labels"][chosen].astype(np.int64))

    return World(those(comes & ~keys.test & ~held_back), those(comes & keys.test), *_eyes(files, schedule))


def _eyes(files: Mapping[str, bytes], schedule: str) -> tuple[Examples, Floats]:
    """The published test pictures as they look in the end, with their true labels."""
    images, labels = (tensor.numpy() for tensor in _tensors(dict(files), "t10k"))
    [*_, last] = [None, *drifts.schedule(schedule)]
    weights = np.ones(len(CLASSES))
    if last and last.kind in ("brightness", "rotation"):
        images = feed.changed(images, last)
    if last and last.kind == "class-mix":
        weights[drifts.FAVOURED] = last.strength
    return Examples(np.zeros(len(labels), np.int64), features(images), labels.astype(np.int64)), weights


class Learner:
    """Trains a model a night on all that has arrived, from sums that grow by the day's examples."""

    def __init__(self, train: Examples) -> None:
        self._train, self._known = train, 0
        self._squares = np.zeros((FEATURES + 1, FEATURES + 1))
        self._products = np.zeros((FEATURES + 1, len(CLASSES)))

    def advance(self, day: int) -> None:
        """Learns what has arrived by a day."""
        known = self._train.until(day)
        new = slice(self._known, known)
        rows, truth = self._train.features[new], np.eye(len(CLASSES), dtype=np.float32)[self._train.labels[new]]
        self._squares += rows.T @ rows
        self._products += rows.T @ truth
        self._known = known

    def model(self, generator: np.random.Generator, seen: int) -> Floats:
        """Returns the weights (FEATURES + 1, classes) of a model that sees a number of the features."""
        chosen = np.append(generator.choice(FEATURES, seen, replace=False), FEATURES)
        squares = self._squares[np.ix_(chosen, chosen)] + RIDGE * np.eye(len(chosen))
        weights = np.zeros((FEATURES + 1, len(CLASSES)), dtype=np.float32)
        weights[chosen] = solve(squares, self._products[chosen], assume_a="pos")
        return weights


def right(model: Floats, examples: Examples) -> Rows:
    """Which examples a model has right."""
    return np.asarray((examples.features @ model).argmax(axis=1) == examples.labels)


@dataclass(frozen=True, eq=False)
class Model:
    """A night's model."""

    weights: Floats
    right: Rows
    """Which of all test examples of the year it has right, in the order of their arrival."""
    day: int
    seen: int
    """Features that its recipe sees."""
    rows: slice
    """Its own test examples."""


@dataclass
class Year:
    """The outcome of a year of nights."""

    ships: int = 0
    stale: int = 0
    """Nights on which the anchor was stale."""
    replaced: int = 0
    """Times that its settings, trained again, replaced it."""
    accuracy: float = 0.0
    """The champion's accuracy at the end of the year, on what arrives then, with true labels."""
    fresh: float = 0.0
    """The accuracy of ten models of the first recipe, trained on the last day."""


Against = Callable[[Model, Model, slice], dict[str, Verdict]]
"""What an anchor says to a challenger, with today's test examples: checks → verdicts."""


def frozen(anchor: Model, new: Model, today: slice) -> dict[str, Verdict]:
    """The shipped rule: on the anchor's own test examples, unless it is stale."""
    figures = Figures(float(anchor.right[anchor.rows].mean()), float(anchor.right[today].mean()))
    if anchor_fresh(figures, CONFIG.margin).verdict == "failed":
        return {"anchor_fresh": "failed"}
    return {"not_inferior_anchor": _not_inferior(new, anchor, anchor.rows)}


def rolling(anchor: Model, new: Model, today: slice) -> dict[str, Verdict]:
    """Asked about today's examples, as the champion is."""
    return {"not_inferior_anchor": _not_inferior(new, anchor, today)}


def none(anchor: Model, new: Model, today: slice) -> dict[str, Verdict]:
    """No anchor at all."""
    return {}


def _paired(new: Model, other: Model, rows: slice) -> PairedTest:
    mine, theirs = new.right[rows], other.right[rows]
    return paired_test(Discordance(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine)), CONFIG)


def _not_inferior(new: Model, other: Model, rows: slice) -> Verdict:
    return not_inferior("", "", _paired(new, other, rows)).verdict


def a_year(world: World, against: Against, sinks: bool, seed: int = 1) -> Year:
    """Simulates a year.

    Args:
        world: What arrives.
        against: What the anchor says.
        sinks: Whether each ship makes the recipe a little worse.
        seed: The seed of the models.
    """
    generator, learner, year = np.random.default_rng(seed), Learner(world.train), Year()

    def trained(day: int, seen: int) -> Model:
        weights, end = learner.model(generator, seen), world.test.until(day)
        return Model(weights, right(weights, world.test), day, seen, slice(max(0, end - feed.TEST_EXAMPLES), end))

    learner.advance(FIRST - 1)
    champion = anchor = trained(FIRST, SEEN)
    for day in range(FIRST + 1, NIGHTS + 1):
        learner.advance(day - 1)
        new = trained(day, round(SEEN * SINKING ** (year.ships if sinks else 0)))
        said = against(anchor, new, new.rows)
        if said.get("anchor_fresh") == "failed":
            year.stale += 1
            if day - anchor.day >= SHORTEST_STAND.days:
                anchor = trained(day, anchor.seen)
                year.replaced += 1
        if _ships(new, champion, said):
            champion, year.ships = new, year.ships + 1
            anchor = new if new.right[anchor.rows].sum() > anchor.right[anchor.rows].sum() else anchor
    year.accuracy = _seen(world, champion.weights)
    year.fresh = float(np.mean([_seen(world, trained(NIGHTS, SEEN).weights) for _ in range(10)]))
    return year


def _ships(new: Model, champion: Model, anchor: Mapping[str, Verdict]) -> bool:
    test = _paired(new, champion, new.rows)
    verdicts: dict[str, Verdict] = {
        "precondition": "passed", "better": better(test).verdict, "newer_data": "passed",
        "not_inferior_champion": not_inferior("", "", test).verdict, **anchor,
    }  # fmt: skip
    return ship_or_hold(verdicts)[0] == "ship"


def _seen(world: World, model: Floats) -> float:
    weights = world.weights[world.eyes.labels]
    return float((right(model, world.eyes) * weights).sum() / weights.sum())


RULES: dict[str, Against] = {"gate": frozen, "anchor on today's examples": rolling, "no anchor": none}


Table = dict[tuple[str, bool, str], list[Year]]
"""Drift, whether the recipe sinks, and rule → the years of all seeds."""


def simulated() -> tuple[Table, float]:
    """Returns all years, and how many of the test examples two models of one night disagree on."""
    files, found, disagreement = _published_files(), Table(), 0.0
    for name, schedule in SCHEDULES.items():
        here = world(files, schedule)
        disagreement = disagreement or _disagreement(here)
        for sinks, rules in ((False, ("gate", "no anchor")), (True, tuple(RULES))):
            for rule in rules:
                say(f"drift: {name}; recipe sinks: {sinks}; rule: {rule}")
                found[name, sinks, rule] = [a_year(here, RULES[rule], sinks, seed) for seed in SEEDS]
    return found, disagreement


HEAD = """<!-- Generated by `python -m tests.bench.nights`; do not edit. -->
# A year of nights on a feed

This page answers: *what does the gate ship in a year in which new data arrives every night, and what does the anchor
prevent?*

[The feed](feed.md) of the real Fashion-MNIST brings its second half within a year, 82 examples a day, and the newest
{test:,} test examples roll on. Each night a model learns from all that has arrived, by least squares on {seen} of
{features} random features, different ones each night, and is offered as newer data. Two models of one night disagree
on {disagreement:.1%} of the test examples. From {begin} on, what arrives is changed as the first column says. The
recipe stays, or sees {sinking:.0%} fewer features after each ship.

`gate` is the shipped rule without floors and classes: it compares the champion on today's test examples, and the anchor
on its own. Accuracy is the champion's at the end of the year, on 10,000 other pictures that look like what arrives
then, with their true labels. *Lost* is the number of points by which it is below the first recipe when that is trained
on the last day (the mean of ten models).

Each row is the mean ± standard deviation of {seeds} years, each with other models. The pictures that arrive are the
same, so the spread is that of the models alone.

| drift | recipe | rule | ships | nights with a stale anchor | anchors replaced | accuracy (%) | lost (points) |
|---|---|---|---|---|---|---|---|
"""


def page(found: Table, disagreement: float) -> str:
    """docs/nights.md."""
    head = HEAD.format(
        test=feed.TEST_EXAMPLES, seen=SEEN, features=FEATURES, disagreement=disagreement, begin=BEGIN,
        sinking=1 - SINKING, seeds=len(SEEDS),
    )  # fmt: skip
    return head + "".join(f"{_line(*case, years)}\n" for case, years in found.items())


def _disagreement(world: World) -> float:
    generator, learner = np.random.default_rng(1), Learner(world.train)
    learner.advance(NIGHTS)
    one, other = (right(learner.model(generator, SEEN), world.test) for _ in range(2))
    return float((one != other).mean())


def _line(drift: str, sinks: bool, rule: str, years: list[Year]) -> str:
    cells = [
        _mean([year.ships for year in years], 0),
        _mean([year.stale for year in years], 0),
        _mean([year.replaced for year in years], 0),
        _mean([100 * year.accuracy for year in years], 2),
        _mean([100 * (year.fresh - year.accuracy) for year in years], 2),
    ]
    return f"| {' | '.join([drift, 'sinks' if sinks else 'stays', rule, *cells])} |"


def _mean(values: list[float], digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    PAGE.write_text(page(*simulated()))
    say(f"wrote {PAGE.name}")
