"""Joins labels to the log of a service, and says how well each version did, by day and by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import ConfigError, DamagedError, InputError, NotFoundError
from catwalk.ledger.models.realised import key, realised
from catwalk.ledger.records.realised import DayRecord, RealisedRecord, Score
from catwalk.ledger.runs import RUN_ID, Run
from catwalk.problems import described, intervals, of_record
from catwalk.problems.interface import Problem
from catwalk.service.labels import stored
from catwalk.service.labels.stored import Known, Log
from catwalk.service.log.lines import Tally
from catwalk.storage.store import Store

_WEEK = 7
WINDOWS = {"7d": _WEEK, "28d": 4 * _WEEK}
"""Name → days, today's included."""
_MOST_DAYS = 366
"""That are kept when their predictions are gone from the ledger."""
_FEWEST = 2
"""Losses that have a spread."""


def join(store: Store, model: str, now: float) -> RealisedRecord:
    """Joins all labels that the ledger has of a model to its predictions, and stores what that says.

    However often it is done, and in whatever order labels and predictions have come, the outcome is the same. A day of
    which predictions were pruned keeps the figures that it had, whatever is left of it or comes late.

    Args:
        store: the ledger.
        model: its name.
        now: Unix time.

    Raises:
        NotFoundError: no prediction of the model was ever logged.
        StoreError: the ledger can't be read or written.
    """
    known = stored.labels(store, model)
    log = stored.log(store, model, known)
    before = _before(store, model)
    if not log.headers and before is None:
        raise NotFoundError(f"no prediction of {model} is in the ledger; its service logs them with log=FOLDER")
    made = _joined(store, model, known, log, now)
    if before:
        made = _with_old(made, before, now)
    store.put_record(key(model), made)
    return made


def _joined(store: Store, model: str, known: Known, log: Log, now: float) -> RealisedRecord:
    problems = {version: _problem(store, version, header) for version, header in log.headers.items()}
    rows: dict[tuple[str, str], list[tuple[str, Any]]] = {}
    for id_, served in log.labelled.items():
        value = known.labels[id_][1]
        if value is not None:
            rows.setdefault((served.version, served.day), []).append((value, served.answer))
    counts = {"joined": 0, **{name: known.counts[name] for name in ("repeated", "revised", "unreadable")}}
    counts |= {"conflicting": known.conflicting, "unknown": len(known.labels) - len(log.labelled)}
    counts["served_twice"] = log.served_twice
    counts["unreadable"] += log.damaged
    days = []
    for (version, day), tally in sorted(log.tallies.items(), key=lambda each: each[0][::-1]):
        problem = problems[version]
        losses, unreadable = _losses(problem, rows.get((version, day), []))
        counts["joined"] += len(losses)
        counts["unreadable"] += unreadable
        days.append(_day(problem, version, day, tally, log.logged[version, day], losses))
    headline = (list(problems.values()) or [described({"kind": "multiclass"})])[-1].metrics[0]
    windows = _windows(days, headline.name, headline.goal, now)
    return RealisedRecord(
        model, headline.name, headline.goal, days, windows, dict(sorted(counts.items())), known.received, now
    )


def _problem(store: Store, version: str, header: Mapping[str, Any]) -> Problem:
    """Of the version's run; of one that is none, what its monitor has said."""
    if RUN_ID.fullmatch(version):
        with suppress(NotFoundError, DamagedError, ConfigError):
            return of_record(Run(store, version).record)
    kind, classes = str(header.get("kind")), header.get("classes") or []
    try:
        return described({"kind": kind, **({"classes": tuple(classes)} if classes else {})})
    except (ConfigError, TypeError):
        return described({"kind": "multiclass"})


def _losses(problem: Problem, rows: Sequence[tuple[str, Any]]) -> tuple[NDArray[np.float64], int]:
    """Of each prediction with its label, (n,); and how many can't be read."""
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
    """As the problem measures them; None: one of the two can't be."""
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
    """Of so many losses, by their sums."""
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


def _windows(days: Iterable[DayRecord], metric: str, goal: str, now: float) -> dict[str, dict[str, Score]]:
    found: dict[str, dict[str, Score]] = {}
    all_days = list(days)
    for window, length in WINDOWS.items():
        first = f"{datetime.fromtimestamp(now, UTC) - timedelta(days=length - 1):%Y-%m-%d}"
        for version in dict.fromkeys(day.version for day in all_days if day.day >= first):
            of = [day for day in all_days if day.version == version and day.day >= first]
            sums = sum(day.score.labelled for day in of), sum(day.loss for day in of), sum(day.squares for day in of)
            found.setdefault(version, {})[window] = _score(metric, goal, *sums)
    return found


def _before(store: Store, model: str) -> RealisedRecord | None:
    with suppress(DamagedError):  # then it is made anew
        return realised(store, model)
    return None


def _with_old(made: RealisedRecord, before: RealisedRecord, now: float) -> RealisedRecord:
    """With days of which predictions are gone, and the time of labels that are."""
    found = {(day.day, day.version): day for day in before.days}
    for day in made.days:
        old = found.get((day.day, day.version))
        if old is None or day.served >= old.served:
            found[day.day, day.version] = day
    days = [found[each] for each in sorted(found)]
    if not made.days:
        made = replace(made, metric=before.metric, goal=before.goal)
    received = max(made.received or 0.0, before.received or 0.0) or None
    kept = sorted({day.day for day in days})[-_MOST_DAYS:]
    days = [day for day in days if day.day in kept]
    windows = _windows(days, made.metric, made.goal, now)
    return replace(made, days=days, received=received, windows=windows)
