"""The query in the address of the list of runs: search, filters, order, page and selected runs."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.summaries import run_seconds
from catwalk_exporter.pages.view import QueryError, View

LONGEST = 4_096
"""The most characters of an address's parameters."""
STATES = ("running", "succeeded", "failed", "cancelled", "untested", "stalled", "lost")
SIZES = (25, 100, 500)
"""Choices of runs per page."""
_DAY = 86_400.0
_NAMES = {
    "q": "text", "model": "model", "owner": "owner", "state": "state", "from": "since", "to": "until",
    "sort": "sort", "size": "size", "page": "page", "run": "selected",
}  # fmt: skip
"""The field of each parameter of the address."""

SORTS: dict[str, Callable[[SummaryRecord, View], Any]] = {
    "started": lambda run, view: run.started,
    "state": lambda run, view: view.state(run),
    "test": lambda run, view: run.scores.get(run.headline or "accuracy"),
    "decision": lambda run, view: f"{run.decision} {run.reason}".strip(),
    "model": lambda run, view: run.model,
    "owner": lambda run, view: run.owner,
    "trigger": lambda run, view: run.trigger,
    "epochs": lambda run, view: run.last_epoch or run.epochs or None,
    "duration": lambda run, view: run_seconds(run, view.now),
}
"""The sort key of each column."""


@dataclass(frozen=True)
class RunQuery:
    """A query of the list of runs. Empty filters match every run."""

    text: str = ""
    """Words that must all occur in the facts of a run."""
    model: str = ""
    owner: str = ""
    state: str = ""
    since: str = ""
    """The first day on which a run may have started, in UTC."""
    until: str = ""
    """The last day on which a run may have started, in UTC."""
    sort: str = "-started"
    """A column of `SORTS`; with a minus, from the highest value down."""
    size: int = 100
    page: int = 1
    selected: tuple[str, ...] = ()
    """The ids of the runs to compare."""

    @property
    def filters(self) -> bool:
        """Whether any filter is set."""
        return any((self.text, self.model, self.owner, self.state, self.since, self.until))

    def runs(self, view: View) -> list[SummaryRecord]:
        """Returns every run that matches the filters, in order."""
        conditions = list(self._conditions(view).values())
        found = [run for run in view.snapshot.summaries if all(holds(run) for holds in conditions)]
        return self._ordered(found, view)

    def _conditions(self, view: View) -> dict[str, Callable[[SummaryRecord], bool]]:
        first, last = _midnight(self.since), _midnight(self.until)
        words = _plain(self.text).split()
        conditions: dict[str, Callable[[SummaryRecord], bool]] = {
            "model": lambda run: run.model == self.model,
            "owner": lambda run: run.owner == self.owner,
            "state": lambda run: view.state(run) == self.state,
            "since": lambda run: run.started >= first,
            "until": lambda run: run.started < last + _DAY,
            "text": lambda run: _has(run, words),
        }
        return {name: holds for name, holds in conditions.items() if getattr(self, name)}

    def _ordered(self, runs: list[SummaryRecord], view: View) -> list[SummaryRecord]:
        """Sorts runs. Those without a value come last; equal ones are ordered by start, the newest first."""
        column, down = self.sort.removeprefix("-"), self.sort.startswith("-")
        if column == "started":  # the order of the snapshot
            return runs[::-1] if down else runs
        values = [(SORTS[column](run, view), run) for run in reversed(runs)]
        having = [(value, run) for value, run in values if not _is_missing(value)]
        lacking = [run for value, run in values if _is_missing(value)]
        return [run for _, run in sorted(having, key=lambda pair: _rank(pair[0]), reverse=down)] + lacking


def parsed(parameters: str) -> RunQuery:
    """Returns the query of an address.

    Raises:
        QueryError: a parameter is unknown, or its value is invalid.
    """
    given = fields(parameters)
    if unknown := [name for name, _ in given if name not in _NAMES]:
        known = ", ".join(_NAMES)
        raise QueryError(f"The list of runs has no parameter {unknown[0]!r:.60}. Its parameters are {known}.")
    selected = dict.fromkeys(value for name, value in given if name == "run")
    values: dict[str, Any] = {_NAMES[name]: value for name, value in given if name != "run"}
    for name in ("size", "page"):
        if name in values:
            values[name] = _number(name, values[name])
    query = RunQuery(**values, selected=tuple(selected))
    _check(query)
    return dataclasses.replace(query, model=spelling(query.model))


def fields(parameters: str) -> list[tuple[str, str]]:
    """Returns the names and values of an address's parameters, without empty ones, which forms send too.

    Raises:
        QueryError: they are too long.
    """
    if len(parameters) > LONGEST:
        raise QueryError(f"The address is too long: its parameters may have at most {LONGEST:,} characters.", 414)
    return [(name, value.strip()) for name, value in parse_qsl(parameters) if value.strip()]


def _check(query: RunQuery) -> None:
    _check_choice("state", query.state, ["", *STATES])
    _check_choice("sort", query.sort.removeprefix("-"), [*SORTS])
    _check_choice("size", query.size, SIZES)
    if _midnight(query.since) > (_midnight(query.until) if query.until else math.inf):
        raise QueryError(f"The dates are the wrong way round: {query.since} is later than {query.until}.")


def _check_choice(name: str, value: object, known: Collection[object]) -> None:
    if value not in known:
        choices = ", ".join(str(one) for one in known if one)
        raise QueryError(f"There is no {name} {value!r:.60}. Choose one of {choices}.")


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise QueryError(f"{name} must be a number of at least 1, not {text!r:.60}.")
    return int(text)


def _midnight(day: str) -> float:
    """Returns the Unix time at which a day starts in UTC; for an empty day, the earliest possible time.

    Raises:
        QueryError: it is not a day.
    """
    try:
        found = date.fromisoformat(day) if day else date.min
    except ValueError:
        raise QueryError(f"{day!r:.60} is not a date. Enter a date such as 2026-11-26.") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()


def _has(run: SummaryRecord, words: list[str]) -> bool:
    parts = (
        run.run_id, run.model, run.owner, run.trigger, run.dag_id, run.dag_run_id, run.sweep, run.decision,
        run.reason.replace("_", " "), run.error, run.git_commit, run.dataset_sha256, run.model_sha256, run.as_of,
    )  # fmt: skip
    text = _plain("\n".join(parts))
    return all(word in text for word in words)


def _plain(text: str) -> str:
    """Returns the text without case, and with one form of each letter."""
    return unicodedata.normalize("NFC", text.casefold())


def _is_missing(value: object) -> bool:
    return value in (None, "") or (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
