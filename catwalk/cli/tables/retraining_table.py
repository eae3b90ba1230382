"""A model's retraining on request, as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from catwalk.environment.schedule import span_text
from catwalk.ledger.records.retraining import RequestRecord, SlotRecord
from catwalk.retraining.transitions import budget_left
from catwalk.web.values import moment

_SHOWN = 10
_CLOCK = "%Y-%m-%d %H:%M UTC"


def facts(slot: SlotRecord, now: float) -> Iterator[Table | str]:
    """The state, and below it the last episodes, newest first."""
    shown = Table.grid(padding=(0, 2))
    for name, text in _facts(slot, now):
        shown.add_row(name, escape(text))
    yield shown
    episodes = [*slot.history, *([slot.episode] if slot.episode else [])]
    if episodes:
        yield ""
        yield _episodes(list(reversed(episodes))[:_SHOWN])


def _facts(slot: SlotRecord, now: float) -> Iterator[tuple[str, str]]:
    settings = slot.settings
    yield "retraining of", slot.model
    on = f"on, by the DAG {settings.dag_id}" if settings.on else "off"
    yield (
        "alert requests",
        on + (f" (changed by {slot.changed_by}, {moment(slot.changed, _CLOCK)})" * bool(slot.changed)),
    )
    yield "state", slot.state + (f" since {moment(slot.since, _CLOCK)}" if slot.since else "")
    for name, text in (("waits for", slot.waiting), ("why", slot.why)):
        if text:
            yield name, text
    yield "budget", f"{budget_left(slot, now)} of {settings.budget} runs left in seven days"
    yield "strikes", f"{slot.strikes} of {settings.strikes}"
    yield "cool-down", span_text(settings.cooldown_seconds)
    yield "watched for", f"{span_text(settings.watch_seconds)} and {settings.watch_predictions:,} predictions"
    refusals = ", ".join(f"{reason} {number}" for reason, number in slot.refusals.items())
    yield "refused so far", refusals or "none"


def _episodes(episodes: list[RequestRecord]) -> Table:
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("episode", "requested by", "since", "DAG run", "run", "outcome"):
        shown.add_column(name, overflow="fold")
    for one in episodes:
        run = one.dag_run_id if one.started else "-"
        words = str(one.number), ", ".join([one.alert, *one.alerts]), moment(one.onset, _CLOCK), run
        shown.add_row(*(escape(word) for word in (*words, one.run_id or "-", one.verdict or one.reason or "-")))
    return shown
