"""``catwalk reference``: what a model in service is compared with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli.commands.watched import Name
from catwalk.cli.lookup import champion_of, ledger_store
from catwalk.cli.options import By, Json, person

if TYPE_CHECKING:
    from catwalk.ledger.records.reference import ReferenceRecord
    from catwalk.ledger.runs import Run
    from catwalk.service.baseline import Accepted

_WEEK = 7
"""Days."""

reference = typer.Typer(
    help="Show what a model in service is compared with, or make that of the service's own days.", no_args_is_help=True
)


@reference.command()
def accept(
    model: Name,
    days: Annotated[
        int, typer.Option(min=2, max=366, help="Of so many full days, in UTC; those with a hole are passed over.")
    ] = 4 * _WEEK,
    floor: Annotated[
        float, typer.Option(help="The least shift that matters, about as PSI counts it; above 0, below 10.")
    ] = 0.03,
    by: By = "",
    json: Json = False,
) -> None:
    """Accept the champion's last days in service as usual: monitors then compare it with them.

    Makes its service baseline of what Prometheus has recorded: predictions by feature and bin, and by how much days
    differ. It is stored with the champion's run, in place of the one that is there. Monitors read it when they start,
    and at swap().
    """
    from catwalk.cli.tables import output
    from catwalk.service import baseline

    accepted = baseline.accept(_champion(model), days, floor, by or person(), time.time())
    if json:
        output.print_json(output.plain(accepted))
        return
    print(_told(accepted.record))
    for line in _notes(accepted):
        print(line)


@reference.command()
def show(model: Name, json: Json = False) -> None:
    """Show what the champion is compared with in service: its origin, its days, and each feature's floor."""
    from catwalk.cli.tables import output, reference_table
    from catwalk.service.reference import in_service

    record = in_service(_champion(model))
    if json:
        output.print_json(output.plain(record))
        return
    print(_told(record))
    output.show(reference_table.table(record))


def _champion(model: str) -> Run:
    from catwalk.ledger.runs import Run

    store = ledger_store()
    return Run(store, champion_of(store, model).run_id)


def _told(record: ReferenceRecord) -> str:
    told = f"{record.model}: version {record.run_id} is compared with {record.examples:,}"
    if record.origin == "test":
        return (
            f"{told} held-out examples of its test; `catwalk reference accept` makes a baseline of its days in service"
        )
    span = (
        f"{len(record.days)} days in service, {record.days[0]} to {record.days[-1]}" if record.days else "its service"
    )
    return f"{told} predictions of {span}, accepted by {record.by} on {_date(record.created)}"


def _notes(accepted: Accepted) -> list[str]:
    notes = []
    if accepted.holes:
        notes.append(f"left out, for Prometheus lacks hours of them: {', '.join(accepted.holes)}")
    if accepted.uncounted:
        notes.append(f"never counted, and compared with the test as before: {', '.join(accepted.uncounted)}")
    if before := accepted.replaced:
        notes.append(f"in place of the baseline that {before.by} accepted on {_date(before.created)}")
    return [*notes, "monitors read it when they start, and at swap()"]


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
