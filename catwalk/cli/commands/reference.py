"""``catwalk reference``: the reference that a model in service is compared with."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli.commands.watched import Name
from catwalk.cli.lookup import champion_of, ledger_store
from catwalk.cli.options import By, Json, person

if TYPE_CHECKING:
    from catwalk.ledger.records.reference import DeclinedRecord, ReferenceRecord
    from catwalk.ledger.runs import Run
    from catwalk.service.baseline.accepted import Accepted

_WEEK = 7
"""Days."""

reference = typer.Typer(
    help="Show the reference of a model in service, or make one from its own days in service.", no_args_is_help=True
)


@reference.command()
def accept(
    model: Name,
    days: Annotated[
        int, typer.Option(min=2, max=366, help="Use this many full days, in UTC; days with a gap are skipped.")
    ] = 4 * _WEEK,
    floor: Annotated[
        float, typer.Option(help="The smallest shift that matters, on roughly the scale of PSI; above 0, below 10.")
    ] = 0.03,
    by: By = "",
    json: Json = False,
) -> None:
    """Accept the champion's latest days in service as its baseline.

    Builds the service baseline from what Prometheus recorded: predictions by feature and bin, and the variation between
    days. It is stored with the champion's run and replaces the one there. Monitors read it when they start, and at
    swap(), and then compare the service with it.

    A champion gets one automatically of its first 28 full days, unless an alert said that they were not well.
    """
    from catwalk.cli.tables import output
    from catwalk.service.baseline.accepted import accept as make

    accepted = make(_champion(model), days, floor, by or person(), time.time())
    if json:
        output.print_json(output.plain(accepted))
        return
    print(_described(model, accepted.record))
    for line in _notes(accepted):
        print(line)


@reference.command()
def show(model: Name, json: Json = False) -> None:
    """Show the champion's reference: its origin, its days, and each feature's floor."""
    from catwalk.cli.tables import output, reference_table
    from catwalk.service import reference as references

    run = _champion(model)
    record = references.in_service(run)
    declined = references.declined_of(run) if record.origin == "test" else None
    if json:
        output.print_json({**output.plain(record), "declined": output.plain(declined) if declined else None})
        return
    print(_described(model, record))
    if record.origin == "test":
        print(_prospects(model, declined))
    output.show(reference_table.table(record))


def _champion(model: str) -> Run:
    from catwalk.ledger.runs import Run

    store = ledger_store()
    return Run(store, champion_of(store, model).run_id)


def _described(model: str, record: ReferenceRecord) -> str:
    """Describes the reference in a sentence, under today's name of the model: its record may have a former one."""
    subject = f"{model}: version {record.run_id} is compared with {record.examples:,}"
    if record.origin == "test":
        return f"{subject} held-out examples of its test"
    return f"{subject} predictions of {_span(record.days) or 'its service'}, {_made(record)}"


def _prospects(model: str, declined: DeclinedRecord | None) -> str:
    """Describes how a version gets a baseline, and why it got none automatically."""
    command = f"`catwalk reference accept {shlex.quote(model)}`"
    if declined is None:
        first = "the courier makes a baseline from its first 28 full days in service"
        return f"{first}; {command} makes one from its latest days"
    from_days = f" from its first {_span(declined.days)}" if declined.days else ""
    why = f"no baseline was made automatically{from_days}: {declined.reason}"
    return f"{why}; once its latest days were well, {command} makes one from them (--days 7: from the last 7)"


def _span(days: list[str]) -> str:
    return f"{len(days)} days in service, {days[0]} to {days[-1]}" if days else ""


def _made(record: ReferenceRecord) -> str:
    """Describes who made a baseline, and when."""
    return f"{f'accepted by {record.by}' if record.by else 'made automatically'} on {_date(record.created)}"


def _notes(accepted: Accepted) -> list[str]:
    notes = []
    if accepted.holes:
        notes.append(f"left out, because Prometheus lacks hours of them: {', '.join(accepted.holes)}")
    if accepted.uncounted:
        notes.append(f"never counted, so still compared with the test: {', '.join(accepted.uncounted)}")
    if before := accepted.replaced:
        notes.append(f"replaces the baseline that was {_made(before)}")
    return [*notes, "monitors read it when they start, and at swap()"]


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
