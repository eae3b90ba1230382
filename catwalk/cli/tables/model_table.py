"""The models of a ledger, one line each."""

from __future__ import annotations

import time

from rich.markup import escape
from rich.table import Table

from catwalk.environment.schedule import Schedule
from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.models.overview import Overview, overview
from catwalk.ledger.summaries import Summaries
from catwalk.storage.store import Store
from catwalk.web.values import due_text


def rows(store: Store) -> list[Overview]:
    """Every model of a ledger, by name."""
    champions = Champions(store)
    known = (watched.watched(store, name) for name in watched.names(store))
    serving = (champions.find(name) for name in champions.models())
    champion = [found[0] for found in serving if found]
    schedule = Schedule.from_environment()
    return overview(Summaries(store).read(), filter(None, known), champion, schedule, since=time.time())


def table(found: list[Overview], now: float) -> Table:
    """One line per model."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "kind", "schedule", "next due", "owner"):
        shown.add_column(name, overflow="fold")
    shown.add_column("runs", justify="right", no_wrap=True)
    for name in ("last run", "in service"):
        shown.add_column(name, overflow="fold")
    shown.add_column("state", overflow="fold")
    for row in found:
        said = row.model, row.problem, row.schedule, due_text(row.due, now), row.owner
        words = *said, str(row.runs), row.last_run, row.champion, row.state
        shown.add_row(*(escape(word) or "-" for word in words))
    return shown


def links(found: list[Overview]) -> list[str]:
    """The links of the models, one line each: URLs are too long for a column."""
    named = [f"{row.model}: {name} {url}" for row in found for name, url in row.links.items()]
    return ["", *map(escape, named)] if named else []
