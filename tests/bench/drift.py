"""How often the alert on drift is wrong, and what it finds, by simulation: years of traffic of pictures.

A service gets pictures of ten classes. A null says how often each comes: independent examples; a daily cycle with
weekends and days of their own; the same in sessions of five. Each class has its own shares of each feature's bins,
measured on the test pictures, and those of a corruption on the same pictures corrupted. The reference is the service's
own first 28 days; the rule is the shipped one, :mod:`catwalk.service.shift`, which Prometheus' rules agree with.

`python -m tests.bench.drift` writes docs/drift.md, in a few minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from catwalk.service import pictures, shift
from stack.settings import PROJECT

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
PAGE = PROJECT / "docs" / "drift.md"
CLASSES, BINS = 10, 10
DAY = 24
BASELINE = 28 * DAY
YEAR = 365 * DAY
VOLUMES = (50, 300, 1_000, 10_000, 100_000)
"""Predictions a day."""
CHANGED = (50, 1_000, 10_000)
"""Volumes in which changes are looked for."""
YEARS = 10
"""Years of each null and volume."""
TRIALS = 20
"""Trials of each change and volume."""
LEAST_DAY, LEAST_HOUR = 200, 100
HELD = 1
"""Hours for which the limit must be exceeded."""
FEATURES = (*pictures.NAMES, "class", "confidence")


@dataclass(frozen=True)
class Null:
    """Traffic that does not drift: how its mix of classes lives."""

    name: str
    cycle: float = 0.0
    """Amplitude of each class's daily cycle, of its log share."""
    weekend: float = 0.0
    """Standard deviation of what a weekend adds to it."""
    days: float = 0.0
    """And of what each day adds."""
    session: int = 1
    """Mean number of requests of one class that come together."""


NULLS = (
    Null("independent examples"),
    Null("daily cycle, weekends, days", 0.5, 0.2, 0.1),
    Null("the same in sessions of 5", 0.5, 0.2, 0.1, 5),
)
CORRUPTIONS: Mapping[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "rotation by 5°": lambda images, _: ndimage.rotate(images, 5, axes=(1, 2), reshape=False, order=1),
    "rotation by 15°": lambda images, _: ndimage.rotate(images, 15, axes=(1, 2), reshape=False, order=1),
    "blur of 1 pixel": lambda images, _: ndimage.gaussian_filter(images, (0, 1, 1)),
    "noise of 0.02": lambda images, random: images + random.normal(0, 0.02, images.shape),
    "noise of 0.1": lambda images, random: images + random.normal(0, 0.1, images.shape),
    "brightness + 0.05": lambda images, _: images + 0.05,
    "brightness × 0.9": lambda images, _: images * 0.9,
}
MIXES = {"one class × 1.5": 1.5, "one class × 2": 2.0, "one class × 4": 4.0}


@dataclass(frozen=True)
class World:
    """Shares of each feature's bins within each class, (features, classes, bins), by what is done to the pictures."""

    clean: Floats
    corrupted: Mapping[str, Floats]
    values: Floats
    """Mean value of the clean pictures in each bin, (features, bins)."""
    spread: Floats
    """Standard deviation of each feature, (features,)."""


def world(train: tuple[Any, Any], test: tuple[Any, Any]) -> World:
    """Measured on pictures, (n, height, width) from 0 to 1, and their classes, with a small model."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit(train[0].reshape(len(train[0]), -1), train[1])
    random = np.random.default_rng(0)
    images, labels = test
    clean = _values(model, images)
    edges = [np.unique(np.quantile(column, np.arange(1, BINS) / BINS)) for column in clean]
    edges[FEATURES.index("class")] = np.arange(CLASSES - 1) + 0.5
    changed = {name: np.clip(change(images, random), 0, 1) for name, change in CORRUPTIONS.items()}
    return World(
        _shares(clean, labels, edges),
        {name: _shares(_values(model, pictures_), labels, edges) for name, pictures_ in changed.items()},
        np.array([_means(column, inner) for column, inner in zip(clean, edges, strict=True)]),
        np.array([column.std() for column in clean]),
    )


def _values(model: Any, images: Floats) -> list[Floats]:
    scores = softmax(model.decision_function(images.reshape(len(images), -1)), axis=1)
    return [*pictures.features(images.astype(np.float32)).T, scores.argmax(1), scores.max(1)]


def _shares(values: list[Floats], labels: Any, edges: list[Floats]) -> Floats:
    found = np.zeros((len(values), CLASSES, BINS))
    for feature, (column, inner) in enumerate(zip(values, edges, strict=True)):
        np.add.at(found[feature], (labels, np.searchsorted(inner, column, side="right")), 1)
    return np.asarray(found / found.sum(-1, keepdims=True))


def _means(column: Any, inner: Any) -> Floats:
    """Returns the mean of each bin; an empty bin has that of the bin below it."""
    place = np.searchsorted(inner, column, side="right")
    found = np.bincount(place, column, BINS) / np.maximum(np.bincount(place, minlength=BINS), 1)
    return np.asarray(np.maximum.accumulate(np.where(np.bincount(place, minlength=BINS) > 0, found, column.min())))


def mix(null: Null, hours: int, random: np.random.Generator) -> Floats:
    """Returns the share of each class in each hour, (hours, classes)."""
    hour = np.arange(hours)
    logs = np.log(random.dirichlet(np.full(CLASSES, 20.0)))
    logs = logs + null.cycle * np.cos(2 * np.pi * (hour[:, None] - random.uniform(0, DAY, CLASSES)) / DAY)
    logs = logs + np.where((hour // DAY % 7 >= 5)[:, None], random.normal(0, null.weekend, CLASSES), 0)
    logs = logs + random.normal(0, null.days, (hours // DAY + 1, CLASSES))[hour // DAY]
    return np.asarray(softmax(logs, axis=1))


def counts(null: Null, volume: int, shares: Floats, mixed: Floats, random: np.random.Generator) -> NDArray[np.int32]:
    """Returns the counts of each feature's bins in each hour, (hours, features, bins), with a quiet night and a busy
    afternoon."""
    hour = np.arange(len(mixed))
    sessions = random.poisson(volume / DAY / null.session * (1 + 0.9 * np.cos(2 * np.pi * (hour % DAY - 15) / DAY)))
    asked = random.multinomial(sessions, mixed)
    if null.session > 1:  # a session has one request, and further ones of a geometric number
        more = random.negative_binomial(np.maximum(asked, 1), 1 / null.session)
        asked = asked + np.where(asked > 0, more, 0)
    found = np.zeros((len(mixed), len(shares), BINS), dtype=np.int32)
    for feature, of_classes in enumerate(shares):
        for class_, probabilities in enumerate(of_classes):
            found[:, feature] += random.multinomial(asked[:, class_], probabilities).astype(np.int32)
    return found


def windows(hourly: NDArray[np.int32], hours: int) -> Floats:
    """Returns the sums of a number of hours, up to each hour that has as many before it."""
    total = np.concatenate([np.zeros_like(hourly[:1]), hourly.cumsum(0)])
    return np.asarray(total[hours:] - total[:-hours], dtype=float)


@dataclass(frozen=True)
class Baseline:
    """The service's own first days, (days, features, bins)."""

    days: Floats
    values: Floats
    spread: Floats

    @property
    def total(self) -> Floats:
        return np.asarray(self.days.sum(0))


Rule = Callable[[NDArray[np.int32], Baseline], Booleans]
"""Hours of traffic, of which the first 24 are the baseline's last → whether it complains, in each hour after them."""


def shipped(hourly: NDArray[np.int32], baseline: Baseline) -> Booleans:
    """What the alert fires by."""
    spread = np.array([shift.dispersion(baseline.days[:, feature]) for feature in range(len(FEATURES))])
    day = _beyond(windows(hourly, DAY)[1:], baseline, spread, shift.FLOOR, LEAST_DAY)
    hour = _beyond(hourly[DAY:].astype(float), baseline, spread, shift.GROSS, LEAST_HOUR)
    return _held(np.asarray((day | hour).any(1)))


def _beyond(sample: Floats, baseline: Baseline, spread: Floats, floor: float, least: int) -> Booleans:
    reference = np.broadcast_to(baseline.total, sample.shape)
    free, weight = shift.degrees(sample, reference), shift.evidence(sample, reference)
    limit = shift.limit(free, weight, floor, spread, shift.level(len(FEATURES)))
    return np.asarray((shift.statistic(sample, reference) > limit) & (sample.sum(-1) >= least))


def _held(exceeded: Booleans) -> Booleans:
    """In this hour, and in those before it in which the alert waits."""
    late = [np.concatenate([np.zeros(hours, dtype=bool), exceeded[: len(exceeded) - hours]]) for hours in (0, HELD)]
    return np.asarray(np.logical_and.reduce(late))


def psi(hourly: NDArray[np.int32], baseline: Baseline) -> Booleans:
    """The usual rule: PSI above 0.1 in the last day, in any feature."""
    sample, known = windows(hourly, DAY)[1:], baseline.total
    p, q = ((each + 0.5) / (each.sum(-1, keepdims=True) + BINS / 2) for each in (sample, known))
    return np.asarray((((p - q) * np.log(p / q)).sum(-1) > 0.1).any(1))


def three_sigma(hourly: NDArray[np.int32], baseline: Baseline) -> Booleans:
    """NannyML's rule: a distance above the mean of the baseline's days and three standard deviations."""
    usual = _distance(baseline.days, baseline.total)
    return np.asarray((_distance(windows(hourly, DAY)[1:], baseline.total) > usual.mean(0) + 3 * usual.std(0)).any(1))


def evidently(hourly: NDArray[np.int32], baseline: Baseline) -> Booleans:
    """Evidently's default for more than 1,000 reference rows: at least half of the columns drift in the last day.

    A number drifts by a Wasserstein distance of at least 0.1 standard deviations of the reference, a category by a
    Jensen–Shannon distance of at least 0.1, in nats. The first is computed from the bins' means, and so a little too
    small where values leave the outermost bins.

    So it is in Evidently 0.7.23: `drift_share` of `DataDriftPreset`, `get_dataset_drift`, `_get_default_stattest`, and
    `default_threshold` of `wasserstein_stat_test` and `jensenshannon_stat_test`.
    """
    sample, known = windows(hourly, DAY)[1:], baseline.total
    p, q = (each / np.maximum(each.sum(-1, keepdims=True), 1) for each in (sample, known))
    steps = np.abs((p - q).cumsum(-1))[..., :-1] * np.diff(baseline.values, axis=-1)
    far = steps.sum(-1) / np.maximum(baseline.spread, 1e-3)
    category = FEATURES.index("class")
    far[:, category] = _distance(sample[:, category], known[category]) * np.sqrt(np.log(2))
    return np.asarray(((far >= 0.1) & (sample.sum(-1) > 0)).mean(1) >= 0.5)


def _distance(sample: Floats, reference: Floats) -> Floats:
    """Of Jensen and Shannon; 0 for nothing."""
    p = sample / np.maximum(sample.sum(-1, keepdims=True), 1)
    q = reference / reference.sum(-1, keepdims=True)
    middle = np.maximum((p + q) / 2, 1e-300)
    parts = [each * np.log2(np.maximum(each, 1e-300) / middle) for each in (p, q)]
    return np.asarray(np.where(sample.sum(-1) > 0, np.sqrt(np.maximum(0, sum(parts).sum(-1) / 2)), 0))


RULES: Mapping[str, Rule] = {
    "Catwalk": shipped,
    "PSI > 0.1": psi,
    "mean + 3 sd": three_sigma,
    "half of the columns": evidently,
}


def episodes(complains: Booleans) -> int:
    """Alarms: those less than a day apart are one, which is held for so long."""
    at = np.flatnonzero(complains)
    return int(1 + (np.diff(at) > DAY).sum()) if len(at) else 0


def _split(hourly: NDArray[np.int32], of: World) -> tuple[NDArray[np.int32], Baseline]:
    days = hourly[:BASELINE].reshape(BASELINE // DAY, DAY, len(FEATURES), BINS).sum(1)
    return hourly[BASELINE - DAY :], Baseline(days.astype(float), of.values, of.spread)


def false_alarms(null: Null, volume: int, of: World, years: int, seed: int = 0) -> dict[str, float]:
    """Alarms a model and year, by rule, where nothing drifts."""
    total = dict.fromkeys(RULES, 0)
    for year in range(years):
        random = np.random.default_rng([seed, year])
        traffic = counts(null, volume, of.clean, mix(null, BASELINE + YEAR, random), random)
        live, baseline = _split(traffic, of)
        for name, rule in RULES.items():
            total[name] += episodes(rule(live, baseline))
    return {name: found / years for name, found in total.items()}


@dataclass(frozen=True)
class Power:
    """What a rule makes of a change, within a week."""

    found: float
    """Share of the trials in which it complains."""
    hours: float
    """Until then; the median of those trials."""


def power(change: str, null: Null, volume: int, of: World, trials: int) -> dict[str, Power]:
    """By rule: two quiet days after the baseline, and then a week of a change."""
    late: dict[str, list[int]] = {name: [] for name in RULES}
    for trial in range(trials):
        live, baseline = _split(_changed(change, null, volume, of, np.random.default_rng([7, trial])), of)
        quiet = 2 * DAY
        for name, rule in RULES.items():
            at = np.flatnonzero(rule(live, baseline)[quiet:])
            late[name] += [int(at[0]) + 1] if len(at) else []
    return {
        name: Power(len(hours) / trials, float(np.median(hours)) if hours else np.inf) for name, hours in late.items()
    }


def _changed(change: str, null: Null, volume: int, of: World, random: np.random.Generator) -> NDArray[np.int32]:
    onset, hours = BASELINE + 2 * DAY, BASELINE + 9 * DAY
    mixed, then = mix(null, hours, random), of.clean
    if change in MIXES:
        mixed[onset:, random.integers(CLASSES)] *= MIXES[change]
        mixed /= mixed.sum(1, keepdims=True)
    else:
        then = of.corrupted[change]
    before = counts(null, volume, of.clean, mixed[:onset], random)
    return np.concatenate([before, counts(null, volume, then, mixed[onset:], random)])


def _real() -> World:
    from ml.fashion_mnist.config import DataConfig
    from ml.fashion_mnist.dataset import read_splits

    splits = read_splits(DataConfig())
    found = [(splits[name].images.numpy() / 255, splits[name].labels.numpy().astype(int)) for name in ("train", "test")]
    return world((found[0][0][:10_000], found[0][1][:10_000]), found[1])


HEAD = """<!-- Generated by `python -m tests.bench.drift`; do not edit. -->
# Drift: how often the alert is false, and what it finds

This page answers: *what is an alert on drift worth?* [service.md](service.md) says how to get one.

In this simulation, a service gets pictures of Fashion-MNIST. Six features of the pictures, the predicted class and its
confidence are compared with the service's own first 28 days. Each cell uses the rule as it is shipped
(`catwalk/service/shift.py`; tests check that Prometheus' rules compute the same). For comparison, each cell also has
three usual rules, on the last day of the same traffic:

- PSI > 0.1.
- NannyML's rule: a Jensen–Shannon distance above the mean of the baseline's days plus three standard deviations.
- The default of Evidently 0.7.23 for references of more than 1,000 rows (`DataDriftPreset`): at least half of the
  columns drift. A number drifts by a Wasserstein distance of at least 0.1 standard deviations of the reference, a
  category by a Jensen–Shannon distance of at least 0.1. The Wasserstein distance is computed from the bins' means,
  which understate it where values leave the outermost bins. For smaller references, Evidently tests at p < 0.05
  instead; here, a baseline has at least 1,400 rows.
"""
FALSE = """## False alarms

The table has the alerts per model and year if nothing drifts, as a mean of {years} years. Alerts less than a day apart
count as one, so a rule that is always firing counts little. Over {cells} cells, Catwalk's mean is {mean:.2f} and its
highest value is {highest:.2f}; the promise is at most 1.
"""
POWER = """## Power

The table has the share of {trials} trials in which a rule finds a change within a week, in traffic in sessions of 5,
and the median of the hours that this takes. Below 200 predictions a day, Catwalk has no figure for a day. Below 1,000,
it finds only gross changes.
"""


def page(of: World, say: Callable[[str], None]) -> str:
    """docs/drift.md."""
    return "\n".join([HEAD, *_false_alarms(of, say), "", *_powers(of, say), ""])


def _false_alarms(of: World, say: Callable[[str], None]) -> list[str]:
    rows, ours = [], []
    for null in NULLS:
        say(f"false alarms: {null.name}")
        for volume in VOLUMES:
            found = false_alarms(null, volume, of, YEARS)
            ours.append(found["Catwalk"])
            rows.append([null.name, f"{volume:,}", *(f"{each:.2f}" for each in found.values())])
    text = FALSE.format(years=YEARS, cells=len(ours), mean=np.mean(ours), highest=max(ours))
    return [text, *_table(["traffic", "a day", *RULES], rows)]


def _powers(of: World, say: Callable[[str], None]) -> list[str]:
    rows = []
    for change in (*CORRUPTIONS, *MIXES):
        say(f"power: {change}")
        for volume in CHANGED:
            found = power(change, NULLS[2], volume, of, TRIALS)
            rows.append([change, f"{volume:,}", *map(_told, found.values())])
    return [POWER.format(trials=TRIALS), *_table(["change", "a day", *RULES], rows)]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _told(found: Power) -> str:
    return f"{found.found:.0%} in {found.hours:.0f} h" if found.found else "–"


def main() -> None:
    """Entry point."""
    PAGE.write_text(page(_real(), lambda text: print(text, file=sys.stderr, flush=True)))
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
