"""Finding and removing old runs. Runs that are in service, or may return to it, are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from catwalk.errors import DamagedError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run, summary_key
from catwalk.storage.store import Store

DAY_SECONDS = 86_400.0


def protected(store: Store, summaries: Sequence[SummaryRecord]) -> tuple[set[str], dict[str, str]]:
    """Run ids of every champion, rollback target and anchor; and the damaged champions: model → why.

    If a model's champion is unknown, all its runs are protected.
    """
    champions = Champions(store)
    kept: set[str] = set()
    damaged: dict[str, str] = {}
    for model in champions.models():
        try:
            found = champions.get(model)
        except DamagedError as error:
            damaged[model] = str(error)
            kept |= {summary.run_id for summary in summaries if summary.model == model}
            continue
        if found:
            changes = found[0].history
            kept |= {found[0].run_id, found[0].previous, found[0].anchor, *(change.previous for change in changes)}
    return kept - {""}, damaged


def expired(
    summaries: Sequence[SummaryRecord], keep: Iterable[str], now: float, days: float | None, newest: int | None
) -> list[SummaryRecord]:
    """Ended runs that may be removed, oldest first.

    Args:
        summaries: Every run, oldest first.
        keep: Run ids to keep, whatever their age.
        now: The current Unix time.
        days: Only runs that ended more than this many days ago; None for any age.
        newest: Keep this many of each model's newest runs; None keeps none.
    """
    kept = set(keep)
    by_model: dict[str, list[str]] = {}
    for summary in reversed(summaries):
        by_model.setdefault(summary.model, []).append(summary.run_id)
    if newest is not None:
        kept |= {run_id for run_ids in by_model.values() for run_id in run_ids[:newest]}
    return [
        summary
        for summary in summaries
        if summary.state != "running"
        and summary.run_id not in kept
        and (days is None or now - (summary.finished or summary.updated) > days * DAY_SECONDS)
    ]


def remove(run: Run) -> int:
    """Deletes a run's objects, its summary last, so that an interrupted removal can be repeated; returns how many."""
    keys = [entry.key for entry in run.store.list(run.key(""))]
    for key in [*keys, summary_key(run.run_id)]:
        run.store.delete(key)
    return len(keys) + 1
