"""The decision about a model of any kind of problem: a pure function of its outcome and of its losses paired with those
of baselines.

If there are too few examples to find a difference, a check is ``inconclusive``, and its sentence says so; unpaired
results never decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from catwalk.errors import ConfigError
from catwalk.gate.config import Thresholds
from catwalk.gate.decision import (
    Examples,
    Role,
    Ruling,
    better,
    inconclusive,
    newer_data,
    not_inferior,
    precondition,
    ruled,
)
from catwalk.ledger.records.decision import CheckRecord, Verdict
from catwalk.problems.arrays import Floats
from catwalk.problems.comparison import STANDARD_ERRORS, PairedTest, compare
from catwalk.problems.interface import Metric, Outcome, Problem
from catwalk.problems.paired.pairing import Pairs
from catwalk.problems.slices import regressions


@dataclass(frozen=True, eq=False)
class PairedBaseline:
    """A model that is or was in service, paired with the challenger."""

    role: Role
    pairs: Pairs


@dataclass(frozen=True, eq=False)
class _Case:
    """What is the same for all baselines."""

    problem: Problem
    outcome: Outcome
    slices: Mapping[str, NDArray[Any]]
    examples: Examples
    thresholds: Thresholds


def judge(
    problem: Problem,
    outcome: Outcome,
    baselines: Sequence[PairedBaseline],
    slices: Mapping[str, NDArray[Any]],
    examples: Examples,
    thresholds: Thresholds | None = None,
    trouble: str = "",
) -> Ruling:
    """Ships or holds.

    Args:
        problem: The models' kind of problem.
        outcome: The challenger's outcome.
        baselines: Champion and anchor, if there are any.
        slices: The values of the challenger's examples by slice, (n,) each, as returned by
            :func:`catwalk.problems.slices.checked`.
        examples: The challenger's training examples, compared with the champion's; not used without a champion.
        thresholds: The thresholds; None for the defaults.
        trouble: Why a comparison with a baseline is not possible, as a sentence; empty if nothing is wrong.

    Raises:
        ConfigError: a floor is for a metric that the problem doesn't have.
    """
    case = _Case(problem, outcome, slices, examples, thresholds or Thresholds())
    checks = [precondition(trouble, "The answers of all models exist."), _quality(case), *_floors(case)]
    for baseline in baselines:
        checks += _against(case, baseline)
    return ruled(checks)


def _quality(case: _Case) -> CheckRecord:
    """Returns the check with the model's quality, which never blocks."""
    metric = case.problem.metrics[0]
    value = case.outcome.metrics[metric.name]
    sentence = f"Test {metric.title} {metric.text(value)} over {len(case.outcome.labels):,} examples."
    return CheckRecord("quality", "passed", value, None, None, None, sentence)


def _floors(case: _Case) -> list[CheckRecord]:
    known = {metric.name: metric for metric in case.problem.metrics}
    unknown = sorted(set(case.thresholds.floors) - set(known))
    if unknown:
        raise ConfigError(f"floors: expected metrics out of {', '.join(known)}; got {unknown[0]!r:.60}")
    return [_floor(known[name], case.outcome.metrics.get(name), at) for name, at in case.thresholds.floors.items()]


def _floor(metric: Metric, value: float | None, at: float) -> CheckRecord:
    check, most = f"{metric.name}_floor", metric.goal == "maximize"
    limit = f"{'floor' if most else 'cap'} of {metric.text(at)}"
    if value is None:
        sentence = f"Test {metric.title} can't be measured on these examples, so it can't reach the {limit}."
        return CheckRecord(check, "failed", None, at, None, None, sentence)
    passed = value >= at if most else value <= at
    words = ("reaches", "is below") if most else ("is within", "exceeds")
    sentence = f"Test {metric.title} {metric.text(value)} {words[0 if passed else 1]} the {limit}."
    return CheckRecord(check, "passed" if passed else "failed", value, at, None, None, sentence)


def _against(case: _Case, baseline: PairedBaseline) -> list[CheckRecord]:
    role, pairs = baseline.role, baseline.pairs
    champion = role == "champion"
    if pairs.how == "inconclusive":
        names = [*(["better"] if champion else []), f"not_inferior_{role}"]
        unknown = [inconclusive(name, f"The {role}: {pairs.sentence}") for name in names]
        return [*unknown, *([newer_data(case.examples)] if champion else [])]
    labels = case.outcome.labels[pairs.rows]
    limits = case.thresholds
    test = compare(
        case.problem, labels, pairs.challenger, pairs.baseline, margin=limits.margin, significance=limits.significance
    )
    found = [
        not_inferior(f"not_inferior_{role}", role, test),
        *guard(case.problem, role, pairs.challenger, pairs.baseline, test),
    ]
    if not champion:
        return found
    return [better(test), _slices(case, pairs), newer_data(case.examples), size(test), *found]


def guard(problem: Problem, role: Role, challenger: Floats, baseline: Floats, test: PairedTest) -> list[CheckRecord]:
    """Returns non-inferiority checks for errors that the mean loss may hide, if the kind has such; from the losses (n,)
    of both models, and their test.
    """
    found = problem.tail(challenger, baseline, test.margin)
    if found is None:
        return []
    metric, statistic, margin = found
    tail = PairedTest(metric, statistic, margin, test.significance, test.too_few)
    return [not_inferior(f"not_inferior_{role}_{metric.name}", f"{role}'s {metric.name.upper()}", tail)]


def size(test: PairedTest) -> CheckRecord:
    """Returns the check of whether the test set is large enough to find equally good models within the margin;
    otherwise luck would decide what ships.
    """
    if test.too_few:
        return inconclusive("test_set_size", test.too_few)
    least = STANDARD_ERRORS * test.statistic.standard_error
    enough = test.examples_needed <= test.statistic.examples
    sentence = (
        f"A margin of {test.statistic.text(test.margin, sign=False)} needs {test.examples_needed:,} examples, and "
        f"there are {test.statistic.examples:,}."
    )
    verdict: Verdict = "passed" if enough else "inconclusive"
    return CheckRecord("test_set_size", verdict, least, test.margin, None, None, sentence)


def _slices(case: _Case, pairs: Pairs) -> CheckRecord:
    """Returns the check of the slice that got worse most clearly, with p corrected for the number of slices (Holm,
    1979).
    """
    of_pairs = {name: values[pairs.rows] for name, values in case.slices.items()}
    labels, level = case.outcome.labels[pairs.rows], case.thresholds.slice_significance
    of_pairs |= case.problem.slices(labels)
    found = regressions(case.problem, labels, pairs.challenger, pairs.baseline, of_pairs)
    if not found:
        sentence = "No slice has enough examples for a comparison." if of_pairs else "There are no slices."
        return CheckRecord("slice_regression", "skipped", None, level, None, None, sentence)
    name, p, against = f"{found[0].slice} {found[0].value}", found[0].p, found[0].statistic
    result = (
        f"{name} got worse by {against.text(-against.difference, sign=False)} (Holm-corrected p = {p:.2g})."
        if p < level
        else f"No slice got worse by more than noise (smallest Holm-corrected p = {p:.2g}, {name})."
    )
    return CheckRecord("slice_regression", "failed" if p < level else "passed", p, level, None, None, result)
