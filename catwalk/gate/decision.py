"""The ship decision, a pure function: floors, and paired tests over the losses of two models on the same examples.

:func:`rule` serves the runs of a Trainable, :mod:`catwalk.gate.judgement` any kind of problem; both put the same checks
together.
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
"""Check → the reason to hold when it fails; what ends in ``_floor`` is a floor."""
_THERE = "Every artifact is there, with the right hash, and all models saw the same test examples"
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
    "calibration": "its probabilities are not to be trusted",
    "worse": "worse than what was shipped before",
    "class": "a class or slice got worse",
    "serves": "it does not serve as it was tested",
    "inconclusive": "neither better nor surely within the margin",
    "no_better": "no better than the champion, which harms nobody",
    "anchor_stale": "as good as the champion on newer data, but the anchor that would vouch for it is stale",
}


@dataclass(frozen=True, eq=False)
class OwnTest:
    """A baseline's own test examples, of which the challenger has learnt none; shape (n,) each."""

    labels: Integers
    challenger: Integers
    """What the challenger says of them."""
    figures: Figures | None
    """How well the baseline does there and on the challenger's; None: that is not known."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A model in service or once in service, and what it says of test examples."""

    role: Role
    run_id: str
    predicted: Integers | None
    """Class index of each test example, shape (n,); None: nobody can ask it."""
    why_not_asked: str = ""
    """Why it can't be asked, and so has said nothing, or this in its own test of the same examples; empty: it was."""
    own: OwnTest | None = None
    """The examples that it has said this of; None: the challenger's."""


@dataclass(frozen=True, eq=False)
class _Case:
    """What does not change from one baseline to the next."""

    names: Sequence[str]
    labels: Integers
    challenger: Integers
    examples: Examples
    config: GateConfig


@dataclass(frozen=True)
class Examples:
    """The challenger's training examples beside the champion's."""

    newer: bool
    """All of the champion's are among them, and others; where both say of when they are, as of later."""
    sentence: str

    @classmethod
    def of(cls, challenger: Set[bytes], champion: Set[bytes]) -> Examples:
        """Compares two sets that name each example."""
        new, lost = len(challenger - champion), len(champion - challenger)
        if new and not lost:
            return cls(True, f"Newer data: it learnt from all examples of the champion, and from {new:,} more.")
        if lost:
            return cls(False, f"No newer data: of the champion's {len(champion):,} examples it lacks {lost:,}.")
        return cls(False, "No newer data: it learnt from the same examples as the champion.")

    @classmethod
    def dated(cls, challenger: DatasetRecord, champion: DatasetRecord) -> Examples | None:
        """Compares by what two datasets say of when and whence they are; None: one of them does not say when."""
        if not challenger.as_of or not champion.as_of:
            return None
        if challenger.source and champion.source and challenger.source != champion.source:
            return cls(False, f"No newer data: it is of {challenger.source}, and the champion's of {champion.source}.")
        later = moment(challenger.as_of) > moment(champion.as_of)
        word = "Newer" if later else "No newer"
        return cls(later, f"{word} data: as of {challenger.as_of}, and the champion's is as of {champion.as_of}.")


@dataclass(frozen=True)
class Ruling:
    """What the gate says."""

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
        evaluation: the challenger's score on the test split.
        labels: the true classes, shape (n,).
        challenger: the challenger's predictions, shape (n,).
        baselines: champion and anchor, as far as there are any.
        examples: what the challenger was trained on, beside the champion's; of no account without a champion.
        model_bytes: size of the challenger's weights.
        problem: why a baseline could not be scored; empty: nothing is wrong.
        config: thresholds.
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
    """On its own examples, if it has other ones; where it is stale, they tell nothing."""
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
    said = f"The {baseline.role} can't be compared with on the same examples: {baseline.why_not_asked}."
    return [inconclusive(check, said) for check in checks]


def inconclusive(check: str, sentence: str) -> CheckRecord:
    """A check that can't be made; never by figures of other examples."""
    return CheckRecord(check, "inconclusive", None, None, None, None, sentence)


def ruled(checks: list[CheckRecord]) -> Ruling:
    """The decision that checks come to."""
    decision, reason = ship_or_hold({check.check: check.verdict for check in checks})
    return Ruling(decision, reason, _sentence(decision, reason, checks), checks)


def _loss(labels: Integers, predicted: Integers) -> NDArray[Any]:
    return np.asarray(labels != predicted, dtype=np.float64)


def paired_test(against: Paired, config: GateConfig) -> PairedTest:
    """The test of a Trainable's run, with the thresholds of its configuration."""
    return PairedTest(_PROBLEM.metrics[0], against, config.margin, config.significance)


def floor_checks(evaluation: EvaluationRecord, model_bytes: int, config: GateConfig) -> list[CheckRecord]:
    """What a model must reach whatever the champion does; optional caps only where they are set."""
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
    """NaN, which reaches no floor and stays within no cap, for what was not measured."""
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
    """Whether nothing is wrong with what is compared, else why, as a sentence."""
    verdict: Verdict = "failed" if problem else "passed"
    sentence = problem or fulfilled
    return CheckRecord("precondition", verdict, None, None, None, None, sentence)


def _precondition(problem: str, baselines: Sequence[Baseline]) -> CheckRecord:
    """The same, and whose answers are those of before."""
    own = ": today's, and the anchor's own" if any(baseline.own for baseline in baselines) else ""
    said = precondition(problem, f"{_THERE}{own}.")
    stored = [
        f"The {baseline.role} could not be asked again, so the answers of its own test count: {baseline.why_not_asked}."
        for baseline in baselines
        if baseline.why_not_asked and baseline.predicted is not None
    ]
    return replace(said, sentence=" ".join([said.sentence, *stored]))


def better(test: PairedTest) -> CheckRecord:
    """Whether there is a difference to the champion at all."""
    verdict = _BETTER[test.verdict]
    word = {"passed": "better than", "failed": "worse than", "inconclusive": "not different enough from"}[verdict]
    sentence = test.too_few or (
        f"The challenger is {word} the champion: {test.statistic.text(test.estimate)}, {test.statistic.evidence} "
        f"({test.test} p = {test.p:.2g}, limit {test.significance:g})."
    )
    low, high = (None, None) if test.too_few else test.interval
    return CheckRecord("better", verdict, test.estimate, 0.0, low, high, sentence)


def not_inferior(check: str, other: str, test: PairedTest) -> CheckRecord:
    """Whether the challenger is surely within the margin of another model, which a sentence calls `other`."""
    text = test.statistic.text
    passed = test.low > -test.margin and not test.too_few
    failed = test.high < -test.margin and not test.too_few
    sentence = test.too_few or (
        f"Against the {other} it is {text(test.estimate)}, at worst {text(test.low)} with 95 % confidence: "
        f"{'within' if passed else 'not surely within'} the margin of {text(-test.margin)}."
    )
    verdict: Verdict = "passed" if passed else "failed" if failed else "inconclusive"
    low, high = (None, None) if test.too_few else (test.low, test.high)
    return CheckRecord(check, verdict, test.estimate, -test.margin, low, high, sentence)


def _classes(names: Sequence[str], found: Sequence[SliceDifference], config: GateConfig) -> CheckRecord:
    """The class that got worse most clearly, its p corrected for having looked at all of them (Holm, 1979)."""
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
    """Never blocks: it is what lets a model ship that is only as good."""
    verdict: Verdict = "passed" if examples.newer else "skipped"
    return CheckRecord("newer_data", verdict, None, None, None, None, examples.sentence)


def ship_or_hold(verdicts: Mapping[str, Verdict]) -> tuple[Decision, str]:
    """Decision and reason; the gravest reason first."""
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
    """The decision in words: what speaks for a ship, or all that speaks against it."""
    telling = [check for check in checks if check.verdict in ("failed", "inconclusive")]
    if decision == "ship" or not telling:
        telling = [check for check in checks if check.check in ("accuracy_floor", "quality", "better")]
    if reason in ("newer_data", "no_better", "anchor_stale"):
        telling += [check for check in checks if check.check == "newer_data"]
    why = " ".join(dict.fromkeys(check.sentence for check in telling))
    return f"{decision.capitalize()}: {_REASONS[reason]}. {why}"
