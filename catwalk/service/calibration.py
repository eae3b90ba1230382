"""Estimates how often answers are right before the truth is known: by confidence, corrected on labelled examples.

One temperature for all scores (Guo, Pleiss, Sun and Weinberger, 2017) makes of confidence a chance of being right. The
mean chance in service, less what it is on the labelled examples, is how far accuracy has moved: Prometheus' rules add
it to the accuracy there. That holds while like inputs have like truth; nothing in confidence tells when they don't.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from catwalk.ledger.records.reference import Calibration, ReferenceRecord
from catwalk.problems.arrays import Floats, Integers
from catwalk.problems.interface import Outcome, Problem
from catwalk.problems.scores import binned_gap, log_probabilities

Chance = Callable[[Any], "float | None"]
"""An answer, as plain numbers → the chance that it is right, or None if it doesn't say."""
_LITTLE = 1e-12
_PROBABLE = 1e-3
"""How far the sum of probabilities may be from 1."""
_COLDEST, _HOTTEST = 0.05, 20.0
_HALVINGS = 40


def fitted(problem: Problem, labels: Any, scores: Any) -> Calibration | None:
    """What accuracy is estimated by; None where a kind of problem or of scores has no chance of being right.

    Args:
        problem: what the model is asked.
        labels: the truth of n examples that it has not been trained on, as :meth:`Problem.measure` takes them.
        scores: its answers to them: logits or probabilities, (n, classes), or probabilities, (n,).

    Raises:
        InputError: one line that names the argument, what was expected and what came.
    """
    if problem.kind == "regression":
        return None
    outcome = problem.measure(labels, scores)
    logs, threshold = _logarithms(problem, outcome), _threshold(problem)
    if logs is None:
        return None
    truth = outcome.labels
    said = np.asarray(outcome.predictions >= threshold if problem.kind == "binary" else outcome.predictions, np.int64)
    temperature = _temperature(logs, truth)
    chance = np.exp(log_probabilities(logs / temperature))[np.arange(len(truth)), said]
    right = said == truth
    return Calibration(
        temperature=temperature,
        accuracy=float(right.mean()),
        confidence=float(chance.mean()),
        error=binned_gap(chance, right),
        examples=len(truth),
        threshold=threshold,
    )


def _logarithms(problem: Problem, outcome: Outcome) -> Floats | None:
    """Returns the logits of probabilities, (n, classes), except for what is the same in a row."""
    if problem.kind == "multiclass":
        return outcome.scores if outcome.scores.ndim == 2 else None
    if "log_loss" not in outcome.metrics:
        return None  # scores that only rank
    positive = outcome.predictions
    return np.asarray(np.log(np.maximum(np.stack([1 - positive, positive], axis=1), _LITTLE)))


def _threshold(problem: Problem) -> float:
    """Returns the probability from which a binary problem's answer is yes."""
    named = getattr(problem, "threshold", None)
    return 0.5 if named is None else float(named)


def _temperature(logs: Floats, truth: Integers) -> float:
    """Returns the temperature with the lowest cross-entropy.

    Its slope by the inverse temperature only rises, so bisection finds it.
    """
    of_truth = logs[np.arange(len(truth)), truth].mean()
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(_HALVINGS):
        inverse = math.sqrt(low * high)
        expected = (np.exp(log_probabilities(logs * inverse)) * logs).sum(1).mean()
        low, high = (inverse, high) if expected < of_truth else (low, inverse)
    return 1 / math.sqrt(low * high)


def chance_of(reference: ReferenceRecord) -> Chance | None:
    """What tells the chance of an answer of this model in service; None: its reference has no labels."""
    if reference.calibration is None:
        return None
    inverse, threshold = 1 / reference.calibration.temperature, reference.calibration.threshold
    return (
        _of_binary(inverse, threshold) if reference.kind == "binary" else _of_classes(inverse, len(reference.classes))
    )


def _of_classes(inverse: float, classes: int) -> Chance:
    def chance(answer: Any) -> float | None:
        if not isinstance(answer, list | tuple) or len(answer) < 2 or (classes and len(answer) != classes):
            return None
        most = max(answer)
        if min(answer) >= 0 and abs(sum(answer) - 1) <= _PROBABLE:
            return _ratio(sum((max(each, _LITTLE) / most) ** inverse for each in answer))
        return _ratio(sum(math.exp((each - most) * inverse) for each in answer))

    return chance


def _ratio(total: float) -> float | None:
    """Returns None if a score is not a number, or is infinite."""
    return 1 / total if 1 <= total < math.inf else None


def _of_binary(inverse: float, threshold: float) -> Chance:
    def chance(answer: Any) -> float | None:
        positive = float(answer[0] if isinstance(answer, list | tuple) and len(answer) == 1 else answer)
        if not 0 <= positive <= 1:
            return None
        yes, no = (max(each, _LITTLE) ** inverse for each in (positive, 1 - positive))
        return float((yes if positive >= threshold else no) / (yes + no))

    return chance
