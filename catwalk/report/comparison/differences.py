"""Compares two or more runs: how they differ, and whether the difference is more than noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import CatwalkError
from catwalk.problems import measured
from catwalk.problems.answers import Tested, paired
from catwalk.problems.interface import Metric, Problem
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.paired.differences import Discordance, Paired, holm
from catwalk.report.comparison.entries import Entry, has_other_classes, read_entries
from catwalk.report.facts import MissingError, Predictions
from catwalk.storage.store import Store

_ACCURACY = Multiclass().metrics[0]
SIGNIFICANCE = 0.05
"""A difference is significant if its corrected p-value is below this."""


@dataclass(frozen=True)
class Difference:
    """How a run differs from the baseline on the same test examples."""

    value: float
    """The run's headline metric minus the baseline's, in its unit; accuracy as a ratio."""
    low: float
    high: float
    """Bounds of the paired difference's 95 % interval."""
    p: float
    """The two-sided p-value, corrected for the number of tests (Holm, 1979)."""
    only_run: int | None = None
    """Examples that only this run answers correctly; None if answers are not right or wrong."""
    only_baseline: int | None = None
    metric: Metric = _ACCURACY
    test: str = "McNemar's exact"
    """The paired test's name."""

    def texts(self) -> tuple[str, str, str]:
        """Returns the difference and its bounds, in points or the metric's unit, without the unit's name."""
        return self.metric.signed(self.value), self.metric.signed(self.low), self.metric.signed(self.high)

    @property
    def better(self) -> bool:
        """Whether the run is better."""
        return self.metric.gain(self.value) > 0

    @property
    def significant(self) -> bool:
        """Whether the difference is more than noise."""
        return self.p < SIGNIFICANCE


@dataclass(frozen=True)
class Pair:
    """A run compared with the baseline."""

    run_id: str
    overall: Difference | None
    """Its p is corrected for the number of runs compared."""
    classes: dict[str, Difference]
    """The difference of each class; p is corrected for the number of classes."""
    why: str = ""
    """Why there is no difference."""
    slices: dict[str, Difference] = field(default_factory=dict)
    """The difference of each slice and value; p is corrected for their number."""
    note: str = ""
    """What the differences cover, if not all classes."""


@dataclass(frozen=True)
class Comparison:
    """What is known about all runs; the first is the baseline."""

    entries: list[Entry]
    pairs: list[Pair]
    """One per run, except for the baseline."""
    parameters: dict[str, list[Any]]
    """The knobs, seed, dataset and code that differ between the runs, each with its value in every run."""

    @property
    def baseline(self) -> Entry:
        """The run that the others are compared with."""
        return self.entries[0]

    @property
    def comparable(self) -> list[Entry]:
        """The runs that were tested on the baseline's examples, the baseline first."""
        usable = {pair.run_id for pair in self.pairs if pair.overall}
        return [entry for entry in self.entries if entry is self.baseline or entry.run_id in usable]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that the test of the baseline and of at least one other run has measured; the headline first."""
        others = {name for entry in self.entries[1:] for name in entry.scores}
        return [metric for metric, _ in measured(self.baseline.problem, self.baseline.scores) if metric.name in others]

    def change(self, metric: Metric, entry: Entry) -> float | None:
        """Returns a run's metric minus the baseline's; None for the baseline and for another kind of problem."""
        value, other = entry.scores.get(metric.name), self.baseline.scores.get(metric.name)
        if entry is self.baseline or entry.problem.kind != self.baseline.problem.kind or value is None or other is None:
            return None
        return value - other

    @property
    def tests(self) -> str:
        """The names of the paired tests behind the differences; empty if there are none."""
        found = dict.fromkeys(pair.overall.test for pair in self.pairs if pair.overall)
        return " and ".join(name if name.endswith("test") else f"{name} test" for name in found)

    @property
    def axis(self) -> str:
        """The x axis of the curves: epoch, step, or both words if the runs differ."""
        trained = (entry.training.value for entry in self.entries)
        return " or ".join(dict.fromkeys(one.axis for one in trained if one and one.epochs)) or "epoch"

    @property
    def kinds(self) -> list[str]:
        """Kinds of problem of the runs, the baseline's first."""
        return list(dict.fromkeys(entry.problem.kind for entry in self.entries))

    def slices(self, most: int) -> list[str]:
        """Returns the slices that a run was compared on, or the `most` of them with the largest differences."""
        size: dict[str, float] = {}
        for pair in self.pairs:
            for name, difference in pair.slices.items():
                size[name] = max(size.get(name, 0.0), abs(difference.value))
        return list(size) if len(size) <= most else sorted(size, key=lambda name: -size[name])[:most]

    def classes(self, most: int) -> list[str]:
        """Returns the classes that a run was compared on, in the baseline's order. If there are more than `most`,
        returns those with the largest differences, the largest first.
        """
        size: dict[str, float] = {}
        for pair in self.pairs:
            for name, difference in pair.classes.items():
                size[name] = max(size.get(name, 0.0), abs(difference.value))
        found = [name for name in self.baseline.classes if name in size]
        return found if len(found) <= most else sorted(found, key=lambda name: -size[name])[:most]

    def choice(self, most: int) -> str:
        """Returns what the caption says about that choice; empty if it is all classes."""
        count = len({name for pair in self.pairs for name in pair.classes})
        return f"The {most} classes with the largest differences, of {count}." if count > most else ""


def compare(store: Store, run_ids: Sequence[str]) -> Comparison:
    """Reads and compares runs.

    Raises:
        CatwalkError: fewer than two runs, one run twice, or one that is not there.
    """
    if len(set(run_ids)) != len(run_ids):
        twice = next(run_id for run_id in run_ids if list(run_ids).count(run_id) > 1)
        raise CatwalkError(f"run {twice} is named twice; name each run once")
    if len(run_ids) < 2:
        raise CatwalkError("a comparison takes two runs or more; `catwalk runs` lists them")
    return side_by_side(read_entries(store, run_ids))


def side_by_side(entries: Sequence[Entry]) -> Comparison:
    """The comparison of runs that have been read; the first is the baseline."""
    return Comparison(list(entries), compare_with_baseline(entries), differing_parameters(entries))


def compare_with_baseline(entries: Sequence[Entry]) -> list[Pair]:
    """Compares each run with the first, on the test examples of the classes that both have."""
    baseline, *others = entries
    found: list[tuple[Paired | None, Pair]] = []
    for entry in others:
        try:
            found.append(_logged(entry, baseline) if entry.logs or baseline.logs else _of_stages(entry, baseline))
        except MissingError as reason:
            found.append((None, Pair(entry.run_id, None, {}, str(reason))))
    corrected = iter(holm([overall.p_value for overall, _ in found if overall]))
    metric = baseline.problem.metrics[0]
    return [
        replace(pair, overall=_difference(overall, next(corrected), metric)) if overall else pair
        for overall, pair in found
    ]


def _logged(entry: Entry, baseline: Entry) -> tuple[Paired, Pair]:
    """Compares two runs that log, by the keys of their test examples.

    Raises:
        MissingError: they have too few keys in common, or are of different kinds of problem.
    """
    problem, kinds = baseline.problem, [one.problem.kind for one in (entry, baseline)]
    if kinds[0] != kinds[1]:
        raise MissingError(f"A {kinds[0]} model can't be compared with a {kinds[1]} model, which is the baseline's.")
    if not (entry.logs and baseline.logs):
        raise MissingError("Its answers can't be paired with the baseline's: the stages ran only one of the two runs.")
    if entry.answers.value is None or baseline.answers.value is None:
        raise MissingError(
            _no_answers(entry) or f"No comparison with the baseline is possible. {_no_answers(baseline)}"
        )
    ours, theirs = (Tested(one.record.get(), one.answers.get()) for one in (entry, baseline))
    pairs = paired(ours, theirs)
    if pairs.how != "keys":
        raise MissingError(pairs.sentence)
    labels = ours.answers.labels[pairs.rows]
    slices = {name: values[pairs.rows] for name, values in ours.answers.slices.items()}
    losses = labels, pairs.challenger, pairs.baseline
    classes = _by_part(problem, *losses, problem.slices(labels), named=False)
    pair = Pair(entry.run_id, None, classes, slices=_by_part(problem, *losses, slices, named=True))
    whole = len(labels) == len(ours.answers.labels) == len(theirs.answers.labels)
    return problem.paired(*losses), replace(pair, note="" if whole else pairs.sentence)


def _no_answers(entry: Entry) -> str:
    return "" if entry.answers.value else entry.answers.why or entry.evaluation.why or "Its answers are missing."


def _by_part(
    problem: Problem,
    labels: NDArray[Any],
    mine: NDArray[Any],
    theirs: NDArray[Any],
    slices: Mapping[str, NDArray[Any]],
    named: bool,
) -> dict[str, Difference]:
    """Returns the difference of each value of a slice, except for those too small to test. If `named`, the slice's name
    precedes the value.
    """
    tested: dict[str, Paired] = {}
    for name, values in slices.items():
        for value in sorted(set(values.tolist())):
            members = values == value
            if not problem.too_few(labels[members]):
                key = f"{name} {value}" if named else str(value)
                tested[key] = problem.paired(labels[members], mine[members], theirs[members])
    corrected = holm([found.p_value for found in tested.values()])
    metric = problem.metrics[0]
    return {name: _difference(found, p, metric) for (name, found), p in zip(tested.items(), corrected, strict=True)}


def _of_stages(entry: Entry, baseline: Entry) -> tuple[Paired, Pair]:
    """Compares two runs of the stages, on the same examples in the same order.

    Raises:
        MissingError: they were tested on different examples.
    """
    mine, theirs, note = _paired(entry, baseline)
    pair = Pair(entry.run_id, None, _by_class(mine, theirs), note=note)
    return _discordance(mine.right, theirs.right), pair


def _paired(entry: Entry, baseline: Entry) -> tuple[Predictions, Predictions, str]:
    """Returns the predictions of a run and of the baseline for the same examples, in the same order, and a note on
    which examples these are, if not all.

    Raises:
        MissingError: there are none.
    """
    mine = entry.predictions.get()
    try:
        theirs = baseline.predictions.get()
    except MissingError as reason:
        raise MissingError(f"No comparison with the baseline is possible. {reason}") from None
    shared = [name for name in theirs.classes if name in mine.classes]
    ours, those = mine.among(shared), theirs.among(shared)
    others = has_other_classes(entry, baseline)
    differ = f"Its classes differ from the baseline's ({len(mine.classes)} here, {len(theirs.classes)} there)"
    if not len(ours.labels):
        raise MissingError(f"{differ}, and no tested class is in both.")
    if not np.array_equal(ours.truth, those.truth) or (others and not _same_images(entry, baseline, shared)):
        raise MissingError(
            (f"{differ}, and it was" if others else "It was")
            + " tested on different examples from the baseline's, so their answers can't be compared one by one."
        )
    cover = f"the {len(shared)} class names that both have, and their {len(ours.labels):,} test examples"
    return ours, those, f"{differ}: the differences, overall and by class, cover {cover}." if others else ""


def _same_images(entry: Entry, baseline: Entry, classes: Sequence[str]) -> bool:
    """Returns whether the examples of these classes are the same: with few classes in common, equal labels prove
    little.

    Raises:
        MissingError: the images can't be read.
    """
    try:
        mine, theirs = (one.images.get()[one.predictions.get().indices(classes)] for one in (entry, baseline))
    except MissingError as reason:
        unknown = "Its classes differ from the baseline's, and it is unknown whether the test examples are the same."
        raise MissingError(f"{unknown} {reason}".strip()) from None
    return np.array_equal(mine, theirs)


def _by_class(mine: Predictions, theirs: Predictions) -> dict[str, Difference]:
    against = {}
    for name in theirs.classes:
        of_class = mine.truth == name
        if of_class.any():
            against[name] = _discordance(mine.right[of_class], theirs.right[of_class])
    corrected = holm([found.p_value for found in against.values()])
    return {name: _difference(found, p) for (name, found), p in zip(against.items(), corrected, strict=True)}


def _discordance(mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Discordance:
    """Counts the examples that only one of two models has right. It compares nothing else, because the same class may
    have a different index in each model.
    """
    return Discordance(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine))


def _difference(found: Paired, p: float, metric: Metric = _ACCURACY) -> Difference:
    z = found.quantile(0.975)
    low, high = sorted(metric.gain(found.bound(side)) for side in (-z, z))
    mine, theirs = (found.only_challenger, found.only_other) if isinstance(found, Discordance) else (None, None)
    return Difference(metric.gain(found.difference), low, high, p, mine, theirs, metric, found.test)


def differing_parameters(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Returns the knobs, seed, dataset and code that differ between the runs, with the value of each run; None if it is
    unknown.
    """
    sources: dict[str, Callable[[Entry], Any]] = {
        "seed": lambda entry: None if entry.logs or not entry.record.value else entry.record.value.seed,
        "dataset": lambda entry: entry.dataset.value and entry.dataset.value.sha256[:12],
        "as_of": lambda entry: entry.dataset.value and (entry.dataset.value.as_of or None),
        "code": lambda entry: entry.record.value and entry.record.value.code_sha256[:12],
    }
    flat = {entry.run_id: entry.record.value.parameters if entry.record.value else {} for entry in entries}
    names = dict.fromkeys(name for values in flat.values() for name in values if name != "seed")
    table = {name: [flat[entry.run_id].get(name) for entry in entries] for name in names}
    table |= {name: [read(entry) for entry in entries] for name, read in sources.items()}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}
