"""The ship decision: a pure function of predictions and a :class:`catwalk.gate.config.GateConfig`.

Two models are compared on the same test images, so only the images on which exactly one of them is right speak: with
equally good models each of these is a fair coin (McNemar, 1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from catwalk.gate.config import GateConfig
from catwalk.ledger.records import CheckRecord, EvaluationRecord, Verdict, class_names, is_finite
from catwalk.problems.paired import Discordance, Integers, holm

Role = Literal["champion", "anchor"]
Decision = Literal["ship", "hold"]
_ONE_SIDED_95 = NormalDist().inv_cdf(0.95)
_BLOCKING = {
    "accuracy_floor": "floor",
    "recall_floor": "floor",
    "model_bytes": "floor",
    "inference_seconds": "floor",
    "calibration": "calibration",
    "better": "worse",
    "class_regression": "class",
}
"""Check → the reason to hold when it fails, the gravest first."""
_REASONS = {
    "first": "no champion yet, and every floor is reached",
    "better": "better than the champion",
    "newer_data": "as good as the champion within the margin, and trained on newer data",
    "precondition": "the comparison could not be made",
    "floor": "a floor is not reached",
    "calibration": "its probabilities are not to be trusted",
    "worse": "worse than what was shipped before",
    "class": "a class got worse",
    "inconclusive": "neither better nor surely within the margin",
    "no_better": "no better than the champion, which harms nobody",
}


@dataclass(frozen=True)
class Baseline:
    """A model in service or once in service, scored on the challenger's test images."""

    role: Role
    run_id: str
    predicted: Integers
    """Class index of each test image, shape (n,)."""
    why_not_asked: str = ""
    """Why these are the answers of its own test, of the same images; empty: it was asked again."""


@dataclass(frozen=True)
class Examples:
    """The challenger's training examples beside the champion's."""

    newer: bool
    """All of the champion's are among them, and others: until data carries its date, nothing else is newer."""
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
    checks = [_precondition(problem, baselines), *floor_checks(evaluation, model_bytes, config)]
    for baseline in baselines:
        against = Discordance.of(labels, challenger, baseline.predicted)
        if baseline.role == "champion":
            checks.append(better(against, config))
            checks.append(_classes(names, labels, challenger, baseline.predicted, config))
            checks.append(_newer_data(examples))
        checks.append(not_inferior(baseline.role, against, config))
    decision, reason = ship_or_hold({check.check: check.verdict for check in checks})
    return Ruling(decision, reason, _sentence(decision, reason, checks), checks)


def floor_checks(evaluation: EvaluationRecord, model_bytes: int, config: GateConfig) -> list[CheckRecord]:
    """What a model must reach whatever the champion does; optional caps only where they are set."""
    recall = [value if is_finite(value) else -math.inf for value in evaluation.class_accuracy]  # NaN has no order
    worst = min(range(len(recall)), key=recall.__getitem__)
    name = class_names(evaluation.classes, len(recall))[worst]
    checks = [
        _at_least("accuracy_floor", "Test accuracy", evaluation.accuracy, config.accuracy_floor),
        _at_least("recall_floor", f"Recall of {name}", evaluation.class_accuracy[worst], config.recall_floor),
        _at_most("calibration", "Calibration error", evaluation.calibration_error, config.calibration_cap, "{:.2%}"),
    ]
    if config.model_bytes_cap is not None:
        checks.append(_at_most("model_bytes", "Size of the weights", model_bytes, config.model_bytes_cap, "{:,} bytes"))
    if config.inference_seconds_cap is not None:
        seconds = 1_000 * evaluation.inference_seconds / evaluation.examples
        cap = config.inference_seconds_cap
        checks.append(_at_most("inference_seconds", "Time to score 1,000 images", seconds, cap, "{:.3f} s"))
    return checks


def _at_least(check: str, what: str, value: float, floor: float) -> CheckRecord:
    passed = value >= floor
    sentence = f"{what} {value:.2%} {'reaches' if passed else 'is below'} the floor of {floor:.2%}."
    return CheckRecord(check, "passed" if passed else "failed", value, floor, None, None, sentence)


def _at_most(check: str, what: str, value: float, cap: float, form: str) -> CheckRecord:
    passed = value <= cap
    sentence = f"{what} {form.format(value)} {'is within' if passed else 'exceeds'} the cap of {form.format(cap)}."
    return CheckRecord(check, "passed" if passed else "failed", value, cap, None, None, sentence)


def _precondition(problem: str, baselines: Sequence[Baseline]) -> CheckRecord:
    verdict: Verdict = "failed" if problem else "passed"
    sentence = problem or "Every artifact is there, with the right hash, and all models saw the same test images."
    stored = [
        f"The {baseline.role} could not be asked again, so the answers of its own test count: {baseline.why_not_asked}."
        for baseline in baselines
        if baseline.why_not_asked
    ]
    return CheckRecord("precondition", verdict, None, None, None, None, " ".join([sentence, *stored]))


def better(against: Discordance, config: GateConfig) -> CheckRecord:
    significant = against.p_value < config.significance
    verdict: Verdict = "inconclusive" if not significant else "passed" if against.difference > 0 else "failed"
    word = {"passed": "better than", "failed": "worse than", "inconclusive": "not different enough from"}[verdict]
    z = -NormalDist().inv_cdf(config.significance / 2)
    sentence = (
        f"The challenger is {word} the champion: {_points(against.difference)}, alone right on "
        f"{against.only_challenger} images and alone wrong on {against.only_other} of {against.examples:,} "
        f"(McNemar's exact p = {against.p_value:.2g}, limit {config.significance:g})."
    )
    return CheckRecord("better", verdict, against.difference, 0.0, against.bound(-z), against.bound(z), sentence)


def not_inferior(role: Role, against: Discordance, config: GateConfig) -> CheckRecord:
    low = against.bound(-_ONE_SIDED_95)
    passed = low > -config.margin
    sentence = (
        f"Against the {role} it is {_points(against.difference)}, at worst {_points(low)} with 95 % confidence: "
        f"{'within' if passed else 'not surely within'} the margin of {_points(-config.margin)}."
    )
    high = against.bound(_ONE_SIDED_95)
    verdict: Verdict = "passed" if passed else "failed" if high < -config.margin else "inconclusive"
    return CheckRecord(f"not_inferior_{role}", verdict, against.difference, -config.margin, low, high, sentence)


def _classes(
    names: Sequence[str], labels: Integers, challenger: Integers, champion: Integers, config: GateConfig
) -> CheckRecord:
    """The class that got worse most clearly, its p corrected for having looked at all of them (Holm, 1979)."""
    pairs = []
    for label in range(len(names)):
        of_class = labels == label
        if of_class.any():
            pairs.append((label, Discordance.of(labels[of_class], challenger[of_class], champion[of_class])))
    adjusted = holm([against.p_worse for _, against in pairs])
    p, (label, against) = min(zip(adjusted, pairs, strict=True), key=lambda entry: entry[0])
    worse = p < config.class_significance
    sentence = (
        f"{names[label]} got worse by {_points(-against.difference, sign=False)} (Holm-corrected p = {p:.2g})."
        if worse
        else f"No class got worse by more than noise (smallest Holm-corrected p = {p:.2g}, {names[label]})."
    )
    verdict: Verdict = "failed" if worse else "passed"
    return CheckRecord("class_regression", verdict, p, config.class_significance, None, None, sentence)


def _newer_data(examples: Examples) -> CheckRecord:
    """Never blocks: it is what lets a model ship that is only as good."""
    verdict: Verdict = "passed" if examples.newer else "skipped"
    return CheckRecord("newer_data", verdict, None, None, None, None, examples.sentence)


def ship_or_hold(verdicts: dict[str, Verdict]) -> tuple[Decision, str]:
    """Decision and reason; the gravest reason first."""
    if verdicts["precondition"] == "failed":
        return "hold", "precondition"
    for check, reason in _BLOCKING.items():
        if verdicts.get(check) == "failed":
            return "hold", reason
    if "better" not in verdicts:
        return "ship", "first"
    inferior = [check for check in verdicts if check.startswith("not_inferior") and verdicts[check] != "passed"]
    if any(verdicts[check] == "failed" for check in inferior):
        return "hold", "worse"
    if verdicts["better"] == "passed" and "not_inferior_anchor" not in inferior:
        return "ship", "better"
    if inferior:
        return "hold", "inconclusive"
    return ("ship", "newer_data") if verdicts.get("newer_data") == "passed" else ("hold", "no_better")


def _sentence(decision: Decision, reason: str, checks: list[CheckRecord]) -> str:
    """The decision in words: what speaks for a ship, or all that speaks against it."""
    telling = [check for check in checks if check.verdict in ("failed", "inconclusive")]
    if decision == "ship" or not telling:
        telling = [check for check in checks if check.check in ("accuracy_floor", "better")]
    if reason in ("newer_data", "no_better"):
        telling += [check for check in checks if check.check == "newer_data"]
    why = " ".join(check.sentence for check in telling)
    return f"{decision.capitalize()}: {_REASONS[reason]}. {why}"


def _points(ratio: float, sign: bool = True) -> str:
    return f"{100 * ratio:{'+' if sign else ''}.2f} points"
