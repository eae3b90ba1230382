"""What there is of each model, from its runs, its champion and what is known of it beside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from catwalk.ledger.models.watched import day, in_use
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.summary import SummaryRecord


@dataclass(frozen=True)
class Overview:
    """What there is of a model, in a line."""

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


def overview(
    summaries: Iterable[SummaryRecord], known: Iterable[WatchedRecord], champions: Iterable[ChampionRecord]
) -> list[Overview]:
    """Every model that has runs, a champion or a record of its own, by name.

    Args:
        summaries: oldest run first.
        known: a record a model.
        champions: one a model.
    """
    runs: dict[str, list[SummaryRecord]] = {}
    for summary in summaries:
        runs.setdefault(summary.model, []).append(summary)
    said = {record.model: record for record in known}
    serving = {champion.model: champion.run_id for champion in champions}
    return [
        _of(said.get(model) or WatchedRecord(model), runs.get(model, []), serving.get(model, ""))
        for model in sorted({*runs, *said, *serving})
    ]


def _of(said: WatchedRecord, runs: list[SummaryRecord], champion: str) -> Overview:
    last = runs[-1] if runs else None
    return Overview(
        said.model,
        str(said.problem.get("kind", "")) or (last.problem or "multiclass" if last else ""),
        said.schedule or (last.schedule if last else ""),
        said.owner or (last.owner if last else ""),
        len(runs),
        last.run_id if last else "",
        champion,
        _state(said, runs),
        said.links or (last.links if last else {}),
        said.thresholds,
        said.threshold_reasons,
    )


def _state(known: WatchedRecord, runs: list[SummaryRecord]) -> str:
    if known.renamed_to:
        return f"renamed to {known.renamed_to} on {day(known.retired)}"
    if not in_use(known, runs):
        return f"retired on {day(known.retired)}"
    return f"in use, formerly {known.formerly}" if known.formerly else "in use" if runs else "waits for its first run"
