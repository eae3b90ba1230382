"""The ship decision, a pure function: floors, and paired tests over the losses of two models on the same examples.

:func:`rule` serves the runs of a Trainable, :mod:`catwalk.gate.judgement` any kind of problem; both combine the same
checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catwalk.gate.anchor import Figures, anchor_fresh, is_stale
from catwalk.gate.config import GateConfig
from catwalk.ledger.records.dataset import DatasetRecord, moment
from catwalk.ledger.records.decision import CheckRecord, Verdict
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.values import class_names, is_finite
from catwalk.problems.comparison import PairedTest
from catwalk.problems.multiclass import Multiclass
from catwalk.problems.paired.differences import Integers, Paired
from catwalk.problems.slices import SliceDifference, regressions

Role = Literal["champion", "anchor"]
Decision = Literal["ship", "hold"]
_PROBLEM = Multiclass()
_BLOCKING = {
    "model_bytes": "floor",
    "inference_seconds": "floor",
    "calibration": "calibration",
    "better": "worse",
    "class_regression": "class",
    "slice_regression": "class",
    "serves": "serves",
}
"""The reason for a hold if each check fails; a check that ends in ``_floor`` is a floor."""
_THERE = "Every artifact exists and has the right hash, and all models were tested on the same examples"
_GRAVEST = ("floor", "calibration", "worse", "class", "serves")
_BETTER: dict[str, Verdict] = {
    "better": "passed", "worse": "failed", "indistinguishable": "inconclusive", "inconclusive": "inconclusive",
}  # fmt: skip
_REASONS = {
    "first": "no champion yet, and every floor is reached",
    "better": "better than the champion",
    "newer_data": "as good as the champion within the margin, and trained on newer data",
    "precondition": "the comparison could not be made",
    "floor": "a floor is not reached",
    "calibration": "its probabilities can't be trusted",
    "worse": "worse than an earlier version",
    "class": "a class or slice got worse",
    "serves": "it does not serve as tested",
    "inconclusive": "neither better nor certainly within the margin",
    "no_better": "no better than the champion, which does no harm",
    "anchor_stale": "as good as the champion on newer data, but the anchor, which must confirm it, is stale",
}


@dataclass(frozen=True, eq=False)
class OwnTest:
    """A baseline's own test examples, none of which the challenger has learnt from; shape (n,) each."""

    labels: Integers
    challenger: Integers
    """The challenger's predictions for them."""
    figures: Figures | None
    """The baseline's accuracy on them and on the challenger's; None if unknown."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A model that is or was in service, and its predictions for test examples."""

    role: Role
    run_id: str
    predicted: Integers | None
    """The class index of each test example, shape (n,); None if it can't be asked."""
    why_not_asked: str = ""
    """Why it can't be asked, so that it has no predictions, or those of its own test on the same examples; empty if it
    was asked.
    """
    own: OwnTest | None = None
    """The examples of these predictions; None for the challenger's."""


@dataclass(frozen=True, eq=False)
class _Case:
    """What is the same for all baselines."""

    names: Sequence[str]
    labels: Integers
    challenger: Integers
    examples: Examples
    config: GateConfig


@dataclass(frozen=True)
class Examples:
    """The challenger's training examples, compared with the champion's."""

    newer: bool
    """Whether they contain all of the champion's, and others; if both have a date, whether they are as of later."""
    sentence: str

    @classmethod
    def of(cls, challenger: Set[bytes], champion: Set[bytes]) -> Examples:
        """Compares two sets of example identifiers."""
        new, lost = len(challenger - champion), len(champion - challenger)
        if new and not lost:
            return cls(True, f"Newer data: it learnt from all examples of the champion, and from {new:,} more.")
        if lost:
            return cls(False, f"No newer data: it lacks {lost:,} of the champion's {len(champion):,} examples.")
        return cls(False, "No newer data: it learnt from the same examples as the champion.")

    @classmethod
    def dated(cls, challenger: DatasetRecord, champion: DatasetRecord) -> Examples | None:
        """Compares two datasets by date and source; None if one of them has no date."""
        if not challenger.as_of or not champion.as_of:
            return None
        if challenger.source and champion.source and challenger.source != champion.source:
            return cls(
                False, f"No newer data: it is from {challenger.source}, and the champion's from {champion.source}."
            )
        later = moment(challenger.as_of) > moment(champion.as_of)
        word = "Newer" if later else "No newer"
        return cls(later, f"{word} data: as of {challenger.as_of}, and the champion's is as of {champion.as_of}.")


@dataclass(frozen=True)
class Ruling:
    """The gate's decision."""

    decision: Decision
    reason: str
    sentence: str
    checks: list[CheckRecord]


def rule(
    evaluation: EvaluationRecord,
    labels: Integers,
    challenger: Integers,
    baselines: Sequence[Baseline],
    examples: Examples,
    model_bytes: int,
    problem: str,
    config: GateConfig,
) -> Ruling:
    """Ships or holds.

    Args:
        evaluation: The challenger's score on the test split.
        labels: The true classes, shape (n,).
        challenger: The challenger's predictions, shape (n,).
        baselines: Champion and anchor, if there are any.
        examples: The challenger's training examples, compared with the champion's; not used without a champion.
        model_bytes: The size of the challenger's weights.
        problem: Why a baseline could not be scored; empty if nothing is wrong.
        config: The thresholds.
    """
    names = class_names(evaluation.classes, len(evaluation.class_accuracy))
    case = _Case(names, labels, challenger, examples, config)
    checks = [_precondition(problem, baselines), *floor_checks(evaluation, model_bytes, config)]
    for baseline in baselines:
        checks += (_against_champion if baseline.role == "champion" else _against_anchor)(case, baseline)
    return ruled(checks)


def _against_champion(case: _Case, baseline: Baseline) -> list[CheckRecord]:
    newer = newer_data(case.examples)
    if baseline.predicted is None:
        return [*_unpaired(baseline, "better", "not_inferior_champion"), newer]
    loss, theirs = _loss(case.labels, case.challenger), _loss(case.labels, baseline.predicted)
    test = paired_test(_PROBLEM.paired(case.labels, loss, theirs), case.config)
    worse = regressions(_PROBLEM, case.labels, loss, theirs, {"class": case.labels})
    classes = _classes(case.names, worse, case.config)
    return [better(test), classes, newer, not_inferior("not_inferior_champion", "champion", test)]


def _against_anchor(case: _Case, baseline: Baseline) -> list[CheckRecord]:
    """Compares with the anchor on its own examples, if these are different; if it is stale, they mean nothing."""
    own = baseline.own
    fresh = [anchor_fresh(own.figures, case.config.margin)] if own and own.figures else []
    if is_stale(fresh):
        return fresh
    if baseline.predicted is None:
        return [*fresh, *_unpaired(baseline, "not_inferior_anchor")]
    labels, challenger = (own.labels, own.challenger) if own else (case.labels, case.challenger)
    against = _PROBLEM.paired(labels, _loss(labels, challenger), _loss(labels, baseline.predicted))
    return [*fresh, not_inferior("not_inferior_anchor", "anchor", paired_test(against, case.config))]


def _unpaired(baseline: Baseline, *checks: str) -> list[CheckRecord]:
    said = f"A comparison with the {baseline.role} on the same examples is not possible: {baseline.why_not_asked}."
    return [inconclusive(check, said) for check in checks]


def inconclusive(check: str, sentence: str) -> CheckRecord:
    """Returns a check that can't be made; results on different examples never replace it."""
    return CheckRecord(check, "inconclusive", None, None, None, None, sentence)


def ruled(checks: list[CheckRecord]) -> Ruling:
    """Returns the decision that follows from checks."""
    decision, reason = ship_or_hold({check.check: check.verdict for check in checks})
    return Ruling(decision, reason, _sentence(decision, reason, checks), checks)


def _loss(labels: Integers, predicted: Integers) -> NDArray[Any]:
    return np.asarray(labels != predicted, dtype=np.float64)


def paired_test(against: Paired, config: GateConfig) -> PairedTest:
    """Returns the test of a Trainable's run, with the thresholds of its configuration."""
    return PairedTest(_PROBLEM.metrics[0], against, config.margin, config.significance)


def floor_checks(evaluation: EvaluationRecord, model_bytes: int, config: GateConfig) -> list[CheckRecord]:
    """Returns the checks that don't depend on the champion; optional caps only if they are set."""
    recall = [value if is_finite(value) else -math.inf for value in evaluation.class_accuracy]  # NaN has no order
    worst = min(range(len(recall)), key=recall.__getitem__)
    name = class_names(evaluation.classes, len(recall))[worst]
    checks = [
        _at_least("accuracy_floor", "Test accuracy", _or_nan(evaluation.accuracy), config.accuracy_floor),
        _at_least("recall_floor", f"Recall of {name}", evaluation.class_accuracy[worst], config.recall_floor),
        _at_most(
            "calibration", "Calibration error", _or_nan(evaluation.calibration_error), config.calibration_cap, "{:.2%}"
        ),
    ]
    if config.model_bytes_cap is not None:
        checks.append(_at_most("model_bytes", "Size of the weights", model_bytes, config.model_bytes_cap, "{:,} bytes"))
    if config.inference_seconds_cap is not None:
        seconds = 1_000 * _or_nan(evaluation.inference_seconds) / evaluation.examples
        cap = config.inference_seconds_cap
        checks.append(_at_most("inference_seconds", "Time to score 1,000 examples", seconds, cap, "{:.3f} s"))
    return checks


def _or_nan(value: float | None) -> float:
    """Returns NaN for a missing value: it reaches no floor and is within no cap."""
    return math.nan if value is None else value


def _at_least(check: str, what: str, value: float, floor: float) -> CheckRecord:
    passed = value >= floor
    sentence = f"{what} {value:.2%} {'reaches' if passed else 'is below'} the floor of {floor:.2%}."
    return CheckRecord(check, "passed" if passed else "failed", value, floor, None, None, sentence)


def _at_most(check: str, what: str, value: float, cap: float, form: str) -> CheckRecord:
    passed = value <= cap
    sentence = f"{what} {form.format(value)} {'is within' if passed else 'exceeds'} the cap of {form.format(cap)}."
    return CheckRecord(check, "passed" if passed else "failed", value, cap, None, None, sentence)


def precondition(problem: str, fulfilled: str) -> CheckRecord:
    """Returns the check of whether a comparison is possible, or why not, as a sentence."""
    verdict: Verdict = "failed" if problem else "passed"
    sentence = problem or fulfilled
    return CheckRecord("precondition", verdict, None, None, None, None, sentence)


def _precondition(problem: str, baselines: Sequence[Baseline]) -> CheckRecord:
    """Returns the same check, with the baselines whose stored answers are used."""
    own = ": today's, and the anchor's own" if any(baseline.own for baseline in baselines) else ""
    said = precondition(problem, f"{_THERE}{own}.")
    stored = [
        f"The {baseline.role} could not be asked again, so the answers of its own test count: {baseline.why_not_asked}."
        for baseline in baselines
        if baseline.why_not_asked and baseline.predicted is not None
    ]
    return replace(said, sentence=" ".join([said.sentence, *stored]))


def better(test: PairedTest) -> CheckRecord:
    """Returns the check of whether there is any difference from the champion."""
    verdict = _BETTER[test.verdict]
    word = {"passed": "better than", "failed": "worse than", "inconclusive": "not different enough from"}[verdict]
    sentence = test.too_few or (
        f"The challenger is {word} the champion: {test.statistic.text(test.estimate)}, {test.statistic.evidence} "
        f"({test.test} p = {test.p:.2g}, limit {test.significance:g})."
    )
    low, high = (None, None) if test.too_few else test.interval
    return CheckRecord("better", verdict, test.estimate, 0.0, low, high, sentence)


def not_inferior(check: str, other: str, test: PairedTest) -> CheckRecord:
    """Returns the check of whether the challenger is certainly within the margin of another model, called `other` in
    the sentence.
    """
    text = test.statistic.text
    passed = test.low > -test.margin and not test.too_few
    failed = test.high < -test.margin and not test.too_few
    sentence = test.too_few or (
        f"Compared with the {other} it is {text(test.estimate)}, at worst {text(test.low)} with 95 % confidence: "
        f"{'within' if passed else 'not certainly within'} the margin of {text(-test.margin)}."
    )
    verdict: Verdict = "passed" if passed else "failed" if failed else "inconclusive"
    low, high = (None, None) if test.too_few else (test.low, test.high)
    return CheckRecord(check, verdict, test.estimate, -test.margin, low, high, sentence)


def _classes(names: Sequence[str], found: Sequence[SliceDifference], config: GateConfig) -> CheckRecord:
    """Returns the check of the class that got worse most clearly, with p corrected for the number of classes (Holm,
    1979).
    """
    clearest = found[0]
    name, against, p = names[int(clearest.value)], clearest.statistic, clearest.p
    worse = p < config.class_significance
    sentence = (
        f"{name} got worse by {against.text(-against.difference, sign=False)} (Holm-corrected p = {p:.2g})."
        if worse
        else f"No class got worse by more than noise (smallest Holm-corrected p = {p:.2g}, {name})."
    )
    verdict: Verdict = "failed" if worse else "passed"
    return CheckRecord("class_regression", verdict, p, config.class_significance, None, None, sentence)


def newer_data(examples: Examples) -> CheckRecord:
    """Returns the check of newer data, which never blocks: it allows an equally good model to ship."""
    verdict: Verdict = "passed" if examples.newer else "skipped"
    return CheckRecord("newer_data", verdict, None, None, None, None, examples.sentence)


def ship_or_hold(verdicts: Mapping[str, Verdict]) -> tuple[Decision, str]:
    """Returns decision and reason; the most serious reason takes precedence."""
    if verdicts["precondition"] == "failed":
        return "hold", "precondition"
    failed = {_blocking(check) for check, verdict in verdicts.items() if verdict == "failed"}
    for reason in _GRAVEST:
        if reason in failed:
            return "hold", reason
    if "better" not in verdicts:
        return "ship", "first"
    inferior = {check for check in verdicts if check.startswith("not_inferior") and verdicts[check] != "passed"}
    if any(verdicts[check] == "failed" for check in inferior):
        return "hold", "worse"
    if verdicts["better"] == "passed" and not inferior - {"not_inferior_champion"}:
        return "ship", "better"
    if inferior or verdicts.get("test_set_size") == "inconclusive":
        return "hold", "inconclusive"
    if verdicts.get("newer_data") != "passed":
        return "hold", "no_better"
    return ("hold", "anchor_stale") if verdicts.get("anchor_fresh") == "failed" else ("ship", "newer_data")


def _blocking(check: str) -> str:
    return "floor" if check.endswith("_floor") else _BLOCKING.get(check, "")


def _sentence(decision: Decision, reason: str, checks: list[CheckRecord]) -> str:
    """Returns the decision in words: the reasons for shipping, or all reasons against it."""
    telling = [check for check in checks if check.verdict in ("failed", "inconclusive")]
    if decision == "ship" or not telling:
        telling = [check for check in checks if check.check in ("accuracy_floor", "quality", "better")]
    if reason in ("newer_data", "no_better", "anchor_stale"):
        telling += [check for check in checks if check.check == "newer_data"]
    why = " ".join(dict.fromkeys(check.sentence for check in telling))
    return f"{decision.capitalize()}: {_REASONS[reason]}. {why}"
