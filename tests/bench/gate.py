"""How often the gate is right, by simulation: one decision, and a year of nightly decisions on one test set.

Each of the 10,000 images has a probability of being classified correctly, calibrated so that a model reaches the
recipe's accuracy and two equally good models disagree on as many images as two seeds of the recipe do when measured. A
model is one draw over all images; a better or worse model shifts every probability. The rule is the shipped one, called
unchanged.

`python -m tests.bench.gate` writes docs/gate.md and docs/gate.png in about five minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq, root
from scipy.stats import norm

from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, Role, better, not_inferior, paired_test, rule, ship_or_hold
from catwalk.ledger.records.decision import Verdict
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.problems.paired.differences import Discordance
from stack.settings import PROJECT

IMAGES = 10_000
ACCURACY = 0.9009
"""Mean test accuracy of the default recipe over five seeds."""
DISAGREEMENT = 0.023
"""Share of the test images that exactly one of two seeds of the recipe classifies correctly."""
TRIALS = 2_000
YEARS = 2_000
NIGHTS = 365
DIFFERENCES = (-1.0, -0.5, -0.3, 0.0, 0.3, 0.5, 1.0)
"""True differences in points, challenger less champion."""
CONFIG = GateConfig()
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@cache
def _abilities() -> Floats:
    """Probit of each image's probability at the recipe's quality."""
    quantiles = norm.ppf((np.arange(IMAGES) + 0.5) / IMAGES)

    def misfit(parameters: Floats) -> list[float]:
        right = norm.cdf(parameters[0] + np.exp(parameters[1]) * quantiles)
        return [float(right.mean()) - ACCURACY, float((2 * right * (1 - right)).mean()) - DISAGREEMENT]

    mean, log_spread = root(misfit, [10.0, 2.0]).x
    return np.asarray(mean + np.exp(log_spread) * quantiles)


@cache
def chances(points: float) -> Floats:
    """Returns the probability that a model that is truly this many points better is right on each image, shape
    (IMAGES,).
    """
    target = ACCURACY + points / 100
    shift = brentq(lambda by: float(norm.cdf(_abilities() + by).mean()) - target, -30, 30)
    return np.asarray(norm.cdf(_abilities() + shift))


def one_decision(generator: np.random.Generator) -> list[tuple[float, list[float]]]:
    """Returns how often `new > old`, the gate, and the gate with newer data ship at each true difference."""
    labels = generator.integers(0, 10, IMAGES)
    rows = []
    for difference in DIFFERENCES:
        say(f"one decision at {difference:+.1f} points")
        ships = np.zeros(3)
        for _ in range(TRIALS):
            champion = _predicted(generator.random(IMAGES) < chances(0.0), labels)
            challenger = _predicted(generator.random(IMAGES) < chances(difference), labels)
            ships += [(challenger == labels).sum() > (champion == labels).sum(), *_ruled(labels, challenger, champion)]
        rows.append((difference, list(ships / TRIALS)))
    return rows


def _predicted(right: Booleans, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(right, labels, (labels + 1) % 10)


def _ruled(labels: Any, challenger: Any, champion: Any) -> list[bool]:
    right = challenger == labels
    recall = [float(right[labels == label].mean()) for label in range(10)]
    score = EvaluationRecord("", "", IMAGES, float(right.mean()), 0, 0, recall, recall, recall, [], 0, 0)
    baselines = [Baseline("champion", "", champion)]
    return [
        rule(score, labels, challenger, baselines, Examples(newer, ""), 0, "", CONFIG).decision == "ship"
        for newer in (False, True)
    ]


@dataclass
class Year:
    """The result of a year of nightly decisions; arrays hold one value for each simulated year."""

    ships: Floats
    overstatement: Floats
    """Points by which the champion's score on the test set exceeds its true accuracy at the year's end."""
    quality: Floats
    """True points of the champion at the year's end; the first champion has 0."""
    first_ship: Floats
    """Night of the first ship; infinite if there is none."""


def a_year(
    generator: np.random.Generator,
    ship: Callable[[Discordance, Discordance, bool], bool],
    challenger: Callable[[float], float],
    newer: bool,
    years: int = YEARS,
    nights: int = NIGHTS,
) -> Year:
    """Simulates years in parallel.

    Args:
        generator: The generator of all draws.
        ship: The rule. It gets the discordance with the champion and with the anchor, and whether the data is newer.
        challenger: The true points of a challenger, given those of the champion.
        newer: Whether the challenger was trained on newer data.
        years: The number of years.
        nights: The number of nights in each year.
    """
    champion = _models(generator, np.zeros(years))
    anchor = champion.copy()
    quality, ships, first = np.zeros(years), np.zeros(years), np.full(years, np.inf)
    for night in range(1, nights + 1):
        offered = np.asarray([round(challenger(points), 1) for points in quality])
        new = _models(generator, offered)
        versus_champion, versus_anchor = _discordances(new, champion), _discordances(new, anchor)
        for year in range(years):
            if not ship(versus_champion[year], versus_anchor[year], newer):
                continue
            champion[year], quality[year] = new[year], offered[year]
            ships[year] += 1
            first[year] = min(first[year], night)
            if new[year].sum() > anchor[year].sum():
                anchor[year] = new[year]
    surely_right = np.round(chances(0.0)[~_open_images()].sum())
    measured = 100 * (champion.sum(1) + surely_right) / IMAGES
    return Year(ships, measured - (100 * ACCURACY + quality), quality, first)


@cache
def _open_images() -> Booleans:
    """Returns the images that are not almost certainly right or wrong for every model of the simulation."""
    low, high = chances(-4.0), chances(1.0)
    return np.asarray((high > 1e-4) & (low < 1 - 1e-4))


def _models(generator: np.random.Generator, points: Floats) -> Booleans:
    """Returns which open images a model of each quality classifies correctly, shape (len(points), open images)."""
    uniform = generator.random((len(points), int(_open_images().sum())), dtype=np.float32)
    right = np.empty_like(uniform, dtype=bool)
    for quality in np.unique(points):
        of_quality = points == quality
        right[of_quality] = uniform[of_quality] < chances(float(quality))[_open_images()]
    return right


def _discordances(one: Booleans, other: Booleans) -> list[Discordance]:
    b, c = (one & ~other).sum(1), (other & ~one).sum(1)
    return [Discordance(int(mine), int(theirs), IMAGES) for mine, theirs in zip(b, c, strict=True)]


def naive(champion: Discordance, anchor: Discordance, newer: bool) -> bool:
    """Ships the model with the higher score."""
    return champion.difference > 0


def gate(champion: Discordance, anchor: Discordance, newer: bool) -> bool:
    """Applies the shipped rule without floors and classes, which can only hold a model."""
    return _gate({"champion": champion, "anchor": anchor}, newer)


def gate_without_anchor(champion: Discordance, anchor: Discordance, newer: bool) -> bool:
    """Applies the same rule, but forgets the best model that was ever promoted."""
    return _gate({"champion": champion}, newer)


def _gate(baselines: dict[Role, Discordance], newer: bool) -> bool:
    verdicts: dict[str, Verdict] = {
        f"not_inferior_{role}": _not_inferior(role, against) for role, against in baselines.items()
    }
    data: dict[str, Verdict] = {"newer_data": "passed" if newer else "skipped"}
    decision, _ = ship_or_hold({"precondition": "passed", "better": _better(baselines["champion"]), **verdicts, **data})
    return decision == "ship"


@cache
def _better(against: Discordance) -> Any:
    return better(paired_test(against, CONFIG)).verdict


@cache
def _not_inferior(role: Role, against: Discordance) -> Any:
    return not_inferior("", role, paired_test(against, CONFIG)).verdict


def main() -> int:
    """Writes the table and the figure."""
    generator = np.random.default_rng(20_261_123)
    decisions = one_decision(generator)
    rules = {"`new > old`": naive, "gate": gate, "gate without anchor": gate_without_anchor}
    equal, sinking, rising = {}, {}, {}
    for name, ship in rules.items():
        say(f"a year of {name}")
        equal[name] = a_year(generator, ship, lambda points: 0.0, newer=False)
        sinking[name] = a_year(generator, ship, lambda points: max(points - 0.1, -4.0), newer=True)
        rising[name] = a_year(generator, ship, lambda points: 0.3, newer=False, nights=30)
    say("a year of subsets")
    subsets = {
        name: a_year(generator, gate, lambda points: max(points - 0.3, -4.0), newer)
        for name, newer in (("not newer, as it is", False), ("newer, because it is other data", True))
    }
    draw(decisions).savefig(PROJECT / "docs" / "gate.png", dpi=110)
    Path(PROJECT / "docs" / "gate.md").write_text(page(decisions, equal, sinking, rising, subsets))
    return 0


def page(
    decisions: list[tuple[float, list[float]]],
    equal: dict[str, Year],
    sinking: dict[str, Year],
    rising: dict[str, Year],
    subsets: dict[str, Year],
) -> str:
    """The document."""
    lines = [
        "<!-- Generated by `python -m tests.bench.gate`; don't edit. -->",
        "# How often the gate is right",
        "",
        f"This is a simulation with {IMAGES:,} test images and an accuracy of {ACCURACY:.1%}. Two equally good models "
        f"disagree on {DISAGREEMENT:.1%} of the images, as measured between two seeds of the default recipe. The rule "
        "is the shipped one with its default knobs. For regressions and binary models, see "
        "[paired-tests.md](paired-tests.md).",
        "",
        f"## One decision ({TRIALS:,} trials each)",
        "",
        "How often a challenger ships, by the difference of its true accuracy from the champion's, in points:",
        "",
        "| true difference | `new > old` | gate | gate, newer data |",
        "|---|---|---|---|",
        *(
            f"| {difference:+.1f} | {naive_ships:.1%} | {ships:.1%} | {newer:.1%} |"
            for difference, (naive_ships, ships, newer) in decisions
        ),
        "",
        "![Share of challengers that ship, by their true difference](gate.png)",
        "",
        "Newer data means that the challenger was trained on all of the champion's training examples and on more. "
        "A challenger trained on fewer, on other or on the same examples falls under `gate`, where being as good is "
        "not enough.",
        "",
        f"## A year of nights on one test set ({YEARS:,} years each)",
        "",
        "Every challenger is as good as the first champion and has no newer data. Each ship is false, and choosing by "
        "one test set makes the champion look better than it is:",
        "",
        "| rule | false ships a year | champion overstated by (points) |",
        "|---|---|---|",
        *(f"| {name} | {year.ships.mean():.2f} | {year.overstatement.mean():+.2f} |" for name, year in equal.items()),
        "",
        "Every challenger is 0.1 points worse than the champion and was trained on newer data:",
        "",
        "| rule | ships a year | champion's true accuracy after a year (points) |",
        "|---|---|---|",
        *(f"| {name} | {year.ships.mean():.1f} | {year.quality.mean():+.2f} |" for name, year in sinking.items()),
        "",
        "Every challenger is 0.3 points worse than the champion, because it was trained on part of its data:",
        "",
        "| such data counts as | ships a year | champion's true accuracy after a year (points) |",
        "|---|---|---|",
        *(f"| {name} | {year.ships.mean():.2f} | {year.quality.mean():+.2f} |" for name, year in subsets.items()),
        "",
        "Every challenger is 0.3 points better and has no newer data:",
        "",
        "| rule | shipped within 30 nights | median night of these |",
        "|---|---|---|",
        *(
            f"| {name} | {np.isfinite(year.first_ship).mean():.0%} | "
            f"{np.median(year.first_ship[np.isfinite(year.first_ship)]):.0f} |"
            for name, year in rising.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def draw(decisions: list[tuple[float, list[float]]]) -> Figure:
    """Share of challengers that ship, by their true difference."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    differences = [difference for difference, _ in decisions]
    styles = [
        ("new > old", "#777777", "s", ":"),
        ("gate", "#0072b2", "o", "-"),
        ("gate, newer data", "#d55e00", "^", "--"),
    ]
    for index, (name, colour, marker, line) in enumerate(styles):
        shares = [100 * ships[index] for _, ships in decisions]
        axes.plot(differences, shares, label=name, color=colour, marker=marker, linestyle=line)
    axes.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_xlabel("true difference, challenger less champion (points)")
    axes.set_ylabel("challengers that ship (%)")
    axes.set_title(f"One decision, {TRIALS:,} trials at each difference", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
