"""``catwalk models``: what is watched, and by which name."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catwalk.cli import assignments
from catwalk.cli.lookup import ledger_store
from catwalk.cli.options import By, Json, person
from catwalk.errors import ConfigError
from catwalk.ledger.model_names import checked, spelling

if TYPE_CHECKING:
    from catwalk.gate.limits import Threshold
    from catwalk.storage.store import Store


def _named(name: str) -> str:
    """A model's name in its one spelling, for whatever is known by it; a text without a name in it is refused."""
    return spelling(name) or checked(name)


models = typer.Typer(help="List the models that are watched; add, retire or rename one.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(metavar="MODEL", help="Its name.", show_default=False, callback=_named)]

Thresholds = Annotated[
    list[str] | None,
    typer.Option(help="Its own limit of an alert, as name=number; may be repeated.", show_default=False),
]


@models.callback()
def show(context: typer.Context, json: Json = False) -> None:
    """List the models that are watched; add, retire or rename one."""
    if context.invoked_subcommand:
        return
    from catwalk.cli.tables import model_table, output

    found = model_table.rows(ledger_store())
    if json:
        output.print_json([output.plain(row) for row in found])
    elif found:
        output.show(model_table.table(found, time.time()), *model_table.links(found))
    else:
        print("no models yet; the first run of one makes it known, or `catwalk models add`")


@models.command()
def add(
    model: Name,
    every: Annotated[str, typer.Option(help="How often it is due, such as 24h.", show_default=False)] = "",
    cron: Annotated[
        str,
        typer.Option(help="Or when: five fields, in UTC or with a time zone behind them.", show_default=False),
    ] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.", show_default=False)] = "",
    threshold: Thresholds = None,
    reason: Annotated[str, typer.Option(help="Why these thresholds.", show_default=False)] = "",
    by: By = "",
) -> None:
    """Watch a model before its first run, which is then due; or a retired one again."""
    from catwalk.gate.limits import of_alerts
    from catwalk.ledger.models import watched
    from catwalk.ledger.records.model import WatchedRecord
    from catwalk.tracking.arguments import settings

    named, schedule = checked(model), settings.schedule(every, cron)
    limits, reasons = of_alerts(_thresholds(threshold or [], reason))
    told: dict[str, Any] = {"thresholds": limits, "threshold_reasons": reasons, "by": by or person()}
    watched.add(ledger_store(), WatchedRecord(named, schedule=schedule, owner=settings.stored_owner(owner), **told))
    print(f"{named} is watched" + (f"; its first run is due by {schedule!r}" if schedule else ""))


@models.command()
def retire(model: Name, by: By = "") -> None:
    """Take a model out of use: no run of it is due any more. Its runs and champion stay."""
    from catwalk.ledger.models import watched

    store = ledger_store()
    _check_known(store, model)
    watched.retire(store, model, by or person())
    print(f"{model} is retired; a scheduled run that begins later brings it back")


@models.command()
def rename(
    model: Name,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new one.", show_default=False)],
    by: By = "",
) -> None:
    """Give a model that logs another name: its champion moves, its runs stay under the old one."""
    from catwalk.tracking import renaming

    renaming.rename(ledger_store(), model, checked(name), by or person())
    before = f"catwalk runs --model {shlex.quote(model)}"
    print(f"{model} is {name} now: open its runs by that name; `{before}` lists those before")


def _thresholds(given: list[str], reason: str) -> dict[str, Threshold]:
    """
    Raises:
        ConfigError: one is no ``name=number``, or comes twice, or there is a reason for none.
    """
    if reason and not given:
        raise ConfigError("--reason says why a --threshold is what it is; give one")
    found = assignments.numbers("--threshold", given, assignments.THRESHOLD)
    return {name: (value, reason.strip()) for name, value in found.items()}


def _check_known(store: Store, model: str) -> None:
    """Summaries are read only of a model that has neither a record of its own nor a champion.

    Raises:
        ConfigError: nothing is known of the model.
    """
    from catwalk.ledger.models.champion import Champions
    from catwalk.ledger.models.watched import watched
    from catwalk.ledger.summaries import Summaries

    known = watched(store, model) or Champions(store).find(model)
    if not known and all(summary.model != model for summary in Summaries(store).read()):
        raise ConfigError(f"there is no model {model}; `catwalk models` lists them")
