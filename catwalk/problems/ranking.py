"""Metrics of a binary model's scores, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError
from catwalk.problems import arrays
from catwalk.problems.arrays import Floats, Integers
from catwalk.problems.interface import Outcome
from catwalk.problems.scores import binned_gap

if TYPE_CHECKING:
    from catwalk.problems.binary import Binary


def measure(problem: Binary, labels: Any, scores: Any) -> Outcome:
    """Returns the outcome of a :class:`~catwalk.problems.binary.Binary` problem."""
    truth = arrays.class_indices("labels", labels, problem.classes)
    positive = truth == 1
    if problem.metric == "auc":
        score, loss, metrics = *_ranks(positive, scores), {}
    else:
        score = _probabilities(scores, len(truth))
        loss = log_loss(positive, score, problem.clip)
        metrics = {"log_loss": float(loss.mean())}
    metrics |= _ranking_metrics(positive, score)
    if problem.metric == "log_loss":
        metrics["brier"] = float(np.square(score - positive).mean())
        metrics["calibration_error"] = binned_gap(score, positive)
    if problem.threshold is not None:
        metrics |= _at_threshold(positive, score >= problem.threshold, problem.costs)
    return Outcome(truth, score, score, loss, metrics)


def _probabilities(scores: Any, rows: int) -> Floats:
    expected = (
        f"probabilities of the positive class (0 to 1), shape ({rows},), or of both classes, ({rows}, 2); for other "
        "scores "
        'use Binary(metric="auc")'
    )
    found = arrays.array("scores", scores, expected)
    if found.ndim == 2 and found.shape[1] == 2:
        both = arrays.floats("scores", found, expected)
        if np.abs(both.sum(axis=1) - 1).max() > 1e-3:
            raise InputError(f"scores: expected {expected}; got rows of two that don't add up to 1")
        found = both[:, 1]
    one = arrays.floats("scores", arrays.column("scores", found, expected, rows), expected)
    beyond = (one < 0) | (one > 1)
    if beyond.any():
        raise InputError(f"scores: expected {expected}; got {one[beyond][0]:g} in row {int(beyond.argmax())}")
    return one


def _ranks(positive: NDArray[np.bool_], scores: Any) -> tuple[Floats, Floats]:
    rows = len(positive)
    expected = f"numbers that are higher for examples that are more likely positive, shape ({rows},)"
    score = arrays.floats("scores", arrays.column("scores", scores, expected, rows), expected)
    if positive.all() or not positive.any():
        raise InputError(
            f"labels: expected examples of both classes, because AUC ranks one above the other; got {rows} of one"
        )
    return score, auc_losses(positive, score)


def log_loss(positive: NDArray[np.bool_], probability: Floats, clip: float) -> Floats:
    """Returns the negative logarithm of the probability of the true class, in nats, (n,)."""
    of_truth = np.where(positive, probability, 1 - probability)
    return np.asarray(-np.log(np.clip(of_truth, clip, 1 - clip)))


def placements(positive: NDArray[np.bool_], score: Floats) -> Floats:
    """Returns for each example the share of the other class that it is ranked correctly against, with ties counted
    half, (n,).

    The mean over either class is the AUC.
    """
    yes, no = np.sort(score[positive]), np.sort(score[~positive])
    found = np.empty(len(score))
    found[positive] = _below(no, score[positive])
    found[~positive] = 1 - _below(yes, score[~positive])
    return found


def _below(ordered: Floats, values: Floats) -> Floats:
    less, most = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((less + most) / (2 * len(ordered)))


def auc_losses(positive: NDArray[np.bool_], score: Floats) -> Floats:
    """Returns losses whose mean is 1 − AUC and whose paired t is the test of DeLong, DeLong and Clarke-Pearson (1988),
    (n,).

    An example's placement, minus the AUC, is weighted by how rare its class is.
    """
    found = placements(positive, score)
    auc = float(found[positive].mean())
    weight = np.where(positive, len(score) / positive.sum(), len(score) / (~positive).sum())
    return np.asarray(1 - auc - weight * (found - auc))


def _ranking_metrics(positive: NDArray[np.bool_], score: Floats) -> dict[str, float]:
    if positive.all() or not positive.any():
        return {}
    return {
        "auc": float(placements(positive, score)[positive].mean()),
        "average_precision": average_precision(positive, score),
    }


def curve(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Integers, Integers]:
    """Returns each threshold that changes a prediction, from the highest down, with the true and false
    positives at it.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(positive[order])[last].astype(np.int64)
    return ordered[last], hits, last + 1 - hits


def average_precision(positive: NDArray[np.bool_], score: Floats) -> float:
    """Returns the precision at each threshold, weighted by the recall gained there; needs at least one positive."""
    _, hits, false = curve(positive, score)
    gained = np.diff(hits, prepend=0) / positive.sum()
    return float((gained * hits / (hits + false)).sum())


def _at_threshold(positive: NDArray[np.bool_], taken: NDArray[np.bool_], costs: Any) -> dict[str, float]:
    hits, false = int((taken & positive).sum()), int((taken & ~positive).sum())
    missed = int(positive.sum()) - hits
    found = {}
    if hits + false:
        found["precision"] = hits / (hits + false)
    if hits + missed:
        found["recall"] = hits / (hits + missed)
    if costs is not None:
        found["cost"] = (costs[0] * false + costs[1] * missed) / len(positive)
    return found
