"""Two or more runs side by side: what sets them apart, and whether they differ by more than noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import CatwalkError
from catwalk.problems.paired import Discordance, holm
from catwalk.report.comparison.entries import Entry, has_other_classes, read_entries
from catwalk.report.facts import MissingError, Predictions
from catwalk.report.statistics import Z_95
from catwalk.storage.store import Store

SIGNIFICANCE = 0.05
"""A difference whose corrected p-value is below this is called one."""


@dataclass(frozen=True)
class Difference:
    """How a run differs from the baseline on the same test examples."""

    value: float
    """Accuracy of the run less that of the baseline, as a ratio."""
    low: float
    high: float
    """Bounds of the paired difference's 95 % interval."""
    p: float
    """McNemar's exact test, two-sided, corrected for how many were made (Holm, 1979)."""
    only_run: int
    """Examples that only this run has right."""
    only_baseline: int

    @property
    def significant(self) -> bool:
        """Whether it is more than noise."""
        return self.p < SIGNIFICANCE


@dataclass(frozen=True)
class Pair:
    """A run against the baseline."""

    run_id: str
    overall: Difference | None
    """Its p is corrected for the number of runs compared."""
    classes: dict[str, Difference]
    """Class → difference; p is corrected for the number of classes."""
    why: str = ""
    """Why there is no difference to give."""
    note: str = ""
    """What the differences are about, where that is not all classes."""


@dataclass(frozen=True)
class Comparison:
    """What is known of all runs; the first is the baseline."""

    entries: list[Entry]
    pairs: list[Pair]
    """One for each run but the baseline."""
    parameters: dict[str, list[Any]]
    """What is not the same in all runs → its value in each; knobs, seed in force, dataset and code."""

    @property
    def baseline(self) -> Entry:
        """The run that the others are measured against."""
        return self.entries[0]

    @property
    def comparable(self) -> list[Entry]:
        """The runs that were tested on the baseline's examples, the baseline first."""
        usable = {pair.run_id for pair in self.pairs if pair.overall}
        return [entry for entry in self.entries if entry is self.baseline or entry.run_id in usable]

    def classes(self, most: int) -> list[str]:
        """Classes that a run was compared on: in the baseline's order; where they are more than `most`, those with the
        largest differences, the largest first."""
        size: dict[str, float] = {}
        for pair in self.pairs:
            for name, difference in pair.classes.items():
                size[name] = max(size.get(name, 0.0), abs(difference.value))
        found = [name for name in self.baseline.predictions.get().classes if name in size]
        return found if len(found) <= most else sorted(found, key=lambda name: -size[name])[:most]

    def choice(self, most: int) -> str:
        """What the caption says of that choice; empty: it is all of them."""
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
    """Each run but the first against the first, on the test examples of the classes that both have."""
    baseline, *others = entries
    found: list[tuple[Discordance | None, Pair]] = []
    for entry in others:
        try:
            mine, theirs, note = _paired(entry, baseline)
        except MissingError as reason:
            found.append((None, Pair(entry.run_id, None, {}, str(reason))))
            continue
        pair = Pair(entry.run_id, None, _by_class(mine, theirs), note=note)
        found.append((_discordance(mine.right, theirs.right), pair))
    corrected = iter(holm([overall.p_value for overall, _ in found if overall]))
    return [
        replace(pair, overall=_difference(overall, next(corrected))) if overall else pair for overall, pair in found
    ]


def _paired(entry: Entry, baseline: Entry) -> tuple[Predictions, Predictions, str]:
    """What a run and the baseline say of the same examples, in the same order; and which these are, if not all.

    Raises:
        MissingError: there are none.
    """
    mine = entry.predictions.get()
    try:
        theirs = baseline.predictions.get()
    except MissingError as reason:
        raise MissingError(f"The baseline can't be compared with. {reason}") from None
    shared = [name for name in theirs.classes if name in mine.classes]
    ours, those = mine.among(shared), theirs.among(shared)
    others = has_other_classes(entry, baseline)
    differ = f"Its classes are not the baseline's ({len(mine.classes)} here, {len(theirs.classes)} there)"
    if not len(ours.labels):
        raise MissingError(f"{differ}, and none that was tested is in both.")
    if not np.array_equal(ours.truth, those.truth) or (others and not _same_images(entry, baseline, shared)):
        raise MissingError(
            (f"{differ}, and it was" if others else "It was")
            + " tested on other examples than the baseline, so their answers can't be compared one by one."
        )
    cover = f"the {len(shared)} classes that both have by name, and their {len(ours.labels):,} test examples"
    return ours, those, f"{differ}: the differences, in all and by class, are about {cover}." if others else ""


def _same_images(entry: Entry, baseline: Entry, classes: Sequence[str]) -> bool:
    """Whether the examples of these classes are the same: with few classes in common, equal labels say little.

    Raises:
        MissingError: the images can't be had.
    """
    try:
        mine, theirs = (one.images.get()[one.predictions.get().indices(classes)] for one in (entry, baseline))
    except MissingError as reason:
        raise MissingError(
            f"Its classes are not the baseline's, and whether the test examples are the same is unknown. {reason}"
        ) from None
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
    """Of two models that have each example right or not; by that alone, for a class may have another index in each."""
    return Discordance(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine))


def _difference(found: Discordance, p: float) -> Difference:
    return Difference(
        found.difference, found.bound(-Z_95), found.bound(Z_95), p, found.only_challenger, found.only_other
    )


def differing_parameters(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Knobs, seed in force, dataset and code that are not the same in all runs, with the value of each run; None where
    it is not known."""
    sources: dict[str, Callable[[Entry], Any]] = {
        "seed": lambda entry: entry.record.value and entry.record.value.seed,
        "dataset": lambda entry: entry.dataset.value and entry.dataset.value.sha256[:12],
        "code": lambda entry: entry.record.value and entry.record.value.code_sha256[:12],
    }
    flat = {entry.run_id: entry.record.value.parameters if entry.record.value else {} for entry in entries}
    names = dict.fromkeys(name for values in flat.values() for name in values if name != "seed")
    table = {name: [flat[entry.run_id].get(name) for entry in entries] for name in names}
    table |= {name: [read(entry) for entry in entries] for name, read in sources.items()}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}
