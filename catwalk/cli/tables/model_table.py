"""The models of a ledger, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records import SummaryRecord, WatchedRecord
from catwalk.ledger.summaries import Summaries
from catwalk.storage.store import Store


@dataclass(frozen=True)
class Row:
    """A model."""

    model: str
    problem: str
    """Its kind; empty: not known yet."""
    schedule: str
    owner: str
    runs: int
    last_run: str
    """run_id; empty: none."""
    champion: str
    """run_id; empty: none."""
    state: str
    """In words, with its other name."""
    links: dict[str, str]
    thresholds: dict[str, Any]
    """As run.json has them, like their reasons."""
    threshold_reasons: dict[str, str]


def rows(store: Store) -> list[Row]:
    """Every model that has runs, a champion or a record of its own, by name."""
    runs: dict[str, list[SummaryRecord]] = {}
    for summary in Summaries(store).read():
        runs.setdefault(summary.model, []).append(summary)
    champions = Champions(store)
    serving = set(champions.models())
    known = {name: watched.watched(store, name) for name in watched.names(store)}
    return [
        _row(model, runs.get(model, []), known.get(model), champions if model in serving else None)
        for model in sorted({*runs, *known, *serving})
    ]


def _row(model: str, runs: list[SummaryRecord], known: WatchedRecord | None, champions: Champions | None) -> Row:
    last = runs[-1] if runs else None
    champion = champions.find(model) if champions else None
    said = known or WatchedRecord(model)
    return Row(
        model,
        str(said.problem.get("kind", "")) or (last.problem or "multiclass" if last else ""),
        said.schedule or (last.schedule if last else ""),
        said.owner or (last.owner if last else ""),
        len(runs),
        last.run_id if last else "",
        champion[0].run_id if champion else "",
        _state(said, runs),
        said.links or (last.links if last else {}),
        said.thresholds,
        said.threshold_reasons,
    )


def _state(known: WatchedRecord, runs: list[SummaryRecord]) -> str:
    if known.renamed_to:
        return f"renamed to {known.renamed_to} on {watched.day(known.retired)}"
    if not watched.in_use(known, runs):
        return f"retired on {watched.day(known.retired)}"
    return f"in use, formerly {known.formerly}" if known.formerly else "in use" if runs else "waits for its first run"


def table(found: list[Row]) -> Table:
    """One line a model."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "kind", "due", "owner"):
        shown.add_column(name, overflow="fold")
    shown.add_column("runs", justify="right", no_wrap=True)
    for name in ("last run", "in service"):
        shown.add_column(name, overflow="fold")
    shown.add_column("state", overflow="fold")
    for row in found:
        words = (row.model, row.problem, row.schedule, row.owner, str(row.runs), row.last_run, row.champion, row.state)
        shown.add_row(*(escape(word) or "-" for word in words))
    return shown


def links(found: list[Row]) -> list[str]:
    """What belongs to the models elsewhere, a line a link: addresses are too long for a column."""
    named = [f"{row.model}: {name} {url}" for row in found for name, url in row.links.items()]
    return ["", *map(escape, named)] if named else []
