"""What the exporter's pages are made from, without an exporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catwalk.ledger.records.summary import SummaryRecord
from catwalk_exporter.exposition import Settings
from catwalk_exporter.pages import run_list
from catwalk_exporter.pages.run_facts import run_page
from catwalk_exporter.pages.run_query import parsed
from catwalk_exporter.pages.view import View
from catwalk_exporter.snapshot import Snapshot


def view(*runs: SummaryRecord, now: float, store_up: bool = True, links: Mapping[str, str] = {}, **more: Any) -> View:
    """Runs, oldest first, at a moment.

    Args:
        runs: their summaries.
        now: Unix time.
        store_up: whether the store answers.
        links: part → where people open it.
        more: other fields of the snapshot.
    """
    return View(Snapshot(runs, **more), Settings(links=links), now, store_up)


def facts_of(run: SummaryRecord, now: float) -> str:
    """The page of a run's facts."""
    return run_page(run, view(run, now=now))


def listed(*runs: SummaryRecord, now: float, parameters: str = "") -> str:
    """The list of runs, oldest first, that an address with these parameters shows."""
    return run_list.page(view(*runs, now=now), parsed(parameters))
