"""Figures of labelled predictions: the headline of each version and day, and of windows of days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import ConfigError, DamagedError, InputError, NotFoundError
from catwalk.ledger.records.realised import DayRecord, Score
from catwalk.ledger.runs import RUN_ID, Run
from catwalk.problems import described, intervals, of_record
from catwalk.problems.interface import Problem
from catwalk.service.labels.stored import Joined
from catwalk.service.log.lines import Tally
from catwalk.storage.store import Store

_WEEK = 7
WINDOWS = {"7d": _WEEK, "28d": 4 * _WEEK}
"""Name → days, today's included."""
_FEWEST = 2
"""The smallest number of losses that has a spread."""


def of_run(store: Store, version: str) -> Problem | None:
    """Returns the problem of a version's run, or None if it is not a run, or its record can't be read."""
    if RUN_ID.fullmatch(version):
        with suppress(NotFoundError, DamagedError, ConfigError):
            return of_record(Run(store, version).record)
    return None


def stated(header: Mapping[str, Any]) -> Problem:
    """Returns the problem that a version's monitor states."""
    kind, classes = str(header.get("kind")), header.get("classes") or []
    try:
        return described({"kind": kind, **({"classes": tuple(classes)} if classes else {})})
    except (ConfigError, TypeError):
        return described({"kind": "multiclass"})


def figures(joined: Joined, problems: Mapping[str, Problem]) -> tuple[list[DayRecord], Counter[str]]:
    """Scores what was joined.

    Args:
        joined: Labels and predictions.
        problems: Version → its problem.

    Returns:
        A record for each version and day of which there are predictions, and how many labels were joined, repeated,
        revised, and so on.
    """
    known, log = joined.known, joined.log
    rows: dict[tuple[str, str], list[tuple[str, Any]]] = {}
    for id_, served in log.labelled.items():
        value = known.labels[id_][1]
        if value is not None:
            rows.setdefault((served.version, served.day), []).append((value, served.answer))
    counts = Counter(known.counts)
    counts["conflicting"] += known.conflicting
    counts["unknown"] += len(known.labels) - len(log.labelled)
    counts["served_twice"] += log.served_twice
    counts["unreadable"] += log.damaged
    days = []
    for (version, day), tally in log.tallies.items():
        losses, unreadable = _losses(problems[version], rows.get((version, day), []))
        counts["joined"] += len(losses)
        counts["unreadable"] += unreadable
        days.append(_day(problems[version], version, day, tally, log.logged[version, day], losses))
    return days, counts


def windows(days: Iterable[DayRecord], metric: str, goal: str, now: float) -> dict[str, dict[str, Score]]:
    """Returns version → window → the headline of the predictions of its days."""
    found: dict[str, dict[str, Score]] = {}
    all_days = list(days)
    for window, length in WINDOWS.items():
        first = f"{datetime.fromtimestamp(now, UTC) - timedelta(days=length - 1):%Y-%m-%d}"
        for version in dict.fromkeys(day.version for day in all_days if day.day >= first):
            of = [day for day in all_days if day.version == version and day.day >= first]
            sums = sum(day.score.labelled for day in of), sum(day.loss for day in of), sum(day.squares for day in of)
            found.setdefault(version, {})[window] = _score(metric, goal, *sums)
    return found


def _losses(problem: Problem, rows: Sequence[tuple[str, Any]]) -> tuple[NDArray[np.float64], int]:
    """Returns the loss of each prediction with its label, (n,), and the number of those that can't be read."""
    found = [_plain(problem, *row) for row in rows]
    usable = [row for row in found if row is not None]
    if not usable:
        return np.zeros(0), len(found)
    labels, answers = zip(*usable, strict=True)
    try:
        loss = problem.measure(list(labels), list(answers)).loss
    except InputError:  # such as a ranking of one class
        return np.zeros(0), len(found)
    return loss, len(found) - len(usable)


def _plain(problem: Problem, label: str, answer: Any) -> tuple[Any, Any] | None:
    """Returns label and answer as the problem measures them, or None if one of the two can't be measured."""
    try:
        if problem.kind == "regression":
            return float(label), float(answer)
        classes = list(getattr(problem, "classes", ()))
        truth = classes.index(label) if classes else int(label)
        if problem.kind == "multiclass":
            return truth, classes.index(answer) if classes else int(answer)
        score = float(answer)
    except (TypeError, ValueError):
        return None
    return (truth, score) if 0 <= score <= 1 or problem.metrics[0].name != "log_loss" else None


def _day(problem: Problem, version: str, day: str, tally: Tally, logged: int, losses: NDArray[np.float64]) -> DayRecord:
    headline = problem.metrics[0]
    loss, squares = float(losses.sum()), float(np.square(losses).sum())
    score = _score(headline.name, headline.goal, len(losses), loss, squares)
    lost = max(0, tally.logged - logged)
    served = logged + tally.sampled_out + tally.dropped + lost
    return DayRecord(version, day, served, logged, tally.sampled_out, tally.dropped, lost, score, loss, squares)


def _score(metric: str, goal: str, labelled: int, loss: float, squares: float) -> Score:
    """Returns the score of a number of losses, from their sums."""
    if not labelled:
        return Score(0)
    mean = loss / labelled
    value = 1 - mean if goal == "maximize" else mean
    if metric == "accuracy":
        return Score(labelled, value, *intervals.wilson(labelled - round(loss), labelled))
    if labelled < _FEWEST:
        return Score(labelled, value)
    variance = max(0.0, squares - labelled * mean**2) / (labelled - 1)
    half = intervals.Z_95 * (variance / labelled) ** 0.5
    return Score(labelled, value, value - half, value + half)
