"""``catwalk runs`` and ``catwalk show``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from catwalk.cli.lookup import ledger_store, name_damaged, resolve
from catwalk.cli.options import Json, Model, RunArgument
from catwalk.cli.terminal import complain
from catwalk.codec import many_records
from catwalk.errors import CatwalkError
from catwalk.ledger.model_names import spelling

if TYPE_CHECKING:
    from catwalk.cli.tables.run_table import Recipe
    from catwalk.ledger.records.summary import SummaryRecord
    from catwalk.ledger.runs import Run

R = TypeVar("R")


Where = Annotated[
    list[str],
    typer.Option(
        metavar="'KEY OP VALUE'",
        help="Only runs that meet this, such as 'test_accuracy >= 0.9', 'state = failed' or 'started >= 2026-11-26'; "
        "repeatable.",
        show_default=False,
    ),
]
Sort = Annotated[str, typer.Option(metavar="KEY", help="Sort by this key; -KEY sorts in descending order.")]
Limit = Annotated[int, typer.Option(min=1, help="Show at most this many.")]
Grouping = Annotated[
    Literal["run", "recipe"],
    typer.Option(help="One line per run, or one per recipe: all runs that differ only in their seed."),
]
OfModel = Annotated[str, typer.Option(help="Only runs of this model.", show_default=False, callback=spelling)]
Csv = Annotated[
    bool, typer.Option("--csv", help="Print CSV with every key; an apostrophe protects text that looks like a formula.")
]


@many_records()
def runs(
    where: Where = [],  # noqa: B006
    sort: Sort = "-run_id",
    limit: Limit = 20,
    by: Grouping = "run",
    model: OfModel = "",
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from catwalk.cli.tables import run_table
    from catwalk.ledger.summaries import Summaries, stalled_seconds

    conditions = [run_table.parts(text) for text in where] + ([("model", "=", model)] if model else [])
    plain = not conditions and sort == "-run_id" and by == "run"
    reader = Summaries(ledger_store())
    summaries, now, stalled = reader.read(newest=limit if plain else None), time.time(), stalled_seconds()
    if not reader.total and by == "run" and not json and not csv:
        print("no runs yet; start one with `catwalk run` or a DAG")
        return
    chosen, keys = run_table.meeting(conditions, summaries, now, stalled)
    found = run_table.ordered(chosen, sort, keys)[:limit]
    if by == "recipe":
        _show_recipes(run_table.recipes(chosen)[:limit], json)
    elif csv and not json:
        print(run_table.as_csv(found, keys), end="")
    else:
        left = (reader.total if plain else len(chosen)) - limit
        more = f"{left} {'older' if plain else 'more'}: --limit {left + limit}" if left > 0 else ""
        _show_runs([row["run_id"] for row in found], summaries, now, json, more)
    name_damaged(reader)


def _show_runs(chosen: Sequence[str], summaries: Sequence[SummaryRecord], now: float, json: bool, more: str) -> None:
    from catwalk.cli.tables import output
    from catwalk.ledger.summaries import stalled_seconds

    by_id = {summary.run_id: summary for summary in summaries}
    shown = [by_id[run_id] for run_id in chosen]
    if json:
        output.print_json([output.plain(summary) for summary in shown])
    elif not shown:
        print(f"none of the {len(summaries)} runs meets these conditions")
    else:
        output.show(output.runs_table(shown, now, stalled_seconds(), output.width()), *filter(None, [more]))


def _show_recipes(recipes: Sequence[Recipe], json: bool) -> None:
    from dataclasses import asdict

    from catwalk.cli.tables import output

    if json:
        output.print_json([asdict(recipe) for recipe in recipes])
    elif not recipes:
        print("no tested runs")
    else:
        output.show(output.recipes_table(recipes))


def finish(run: RunArgument, model: Model = "", json: Json = False) -> None:
    """Complete a run of catwalk.run that was never closed, from what it stored; decide, if it was tested."""
    from catwalk.cli.lookup import observed_ledger
    from catwalk.cli.tables import output
    from catwalk.tracking.closing import finish

    found = resolve(run, model)
    summary = finish(found, observed_ledger()[1])
    if json:
        output.print_json(output.plain(summary))
    else:
        lines = [output.sentence(summary)] if summary.sentence else []
        output.show(*lines, f"run {found.run_id} {output.coloured(summary.state)}")


def show(
    run: RunArgument,
    model: Model = "",
    whole: Annotated[
        bool, typer.Option("--all", help="Show every epoch, class and slice, not only some or the worst.")
    ] = False,
    json: Json = False,
) -> None:
    """Show everything about one run."""
    from catwalk.cli.tables import output
    from catwalk.ledger.summaries import stalled_seconds
    from catwalk.problems import of_record
    from catwalk.problems.limits import limits

    found = resolve(run, model)
    if json:
        _print_records(found)
        return
    summary, training, evaluation = found.summary(), _sound(found.training), _sound(found.evaluation)
    attempts = _sound(found.attempts) or []
    if summary is None:
        raise CatwalkError(
            f"run {found.run_id} has no summary because it was interrupted at its start; run or trigger it again"
        )
    record, problem = found.record, of_record(found.record)
    in_force = limits(problem, record.thresholds, record.threshold_reasons)
    output.show(
        output.run_facts(
            summary, training, evaluation, attempts, time.time(), stalled_seconds(), problem, whole, in_force
        )
    )


def _print_records(run: Run) -> None:
    from catwalk.cli.tables import output

    facts = {
        "summary": run.summary(),
        "run": _sound(lambda: run.record),
        "dataset": _sound(run.dataset),
        "training": _sound(run.training),
        "evaluation": _sound(run.evaluation),
        "decision": _sound(run.decision),
    }
    records = {name: record and output.plain(record) for name, record in facts.items()}
    output.print_json({**records, "attempts": [output.plain(attempt) for attempt in _sound(run.attempts) or []]})


def _sound(read: Callable[[], R]) -> R | None:
    """A record, or None if it is damaged, which is reported: the rest is still shown."""
    from catwalk.errors import DamagedError

    try:
        return read()
    except DamagedError as error:
        complain(str(error))
        return None
