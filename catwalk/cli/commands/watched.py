"""``catwalk models``: the models that are watched, and their names."""

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
    """A model's name in its canonical spelling; text without a name in it is refused."""
    return spelling(name) or checked(name)


models = typer.Typer(help="List the watched models; add, retire or rename one.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.", show_default=False, callback=_named)]

Thresholds = Annotated[
    list[str] | None,
    typer.Option(help="The model's own threshold of an alert, as name=number; repeatable.", show_default=False),
]


@models.callback()
def show(context: typer.Context, json: Json = False) -> None:
    """List the watched models; add, retire or rename one."""
    if context.invoked_subcommand:
        return
    from catwalk.cli.tables import model_table, output

    found = model_table.rows(ledger_store())
    if json:
        output.print_json([output.plain(row) for row in found])
    elif found:
        output.show(model_table.table(found, time.time()), *model_table.links(found))
    else:
        print("no models yet; add one with `catwalk models add`, or by its first run")


@models.command()
def add(
    model: Name,
    every: Annotated[str, typer.Option(help="How often a run is due, such as 24h.", show_default=False)] = "",
    cron: Annotated[
        str,
        typer.Option(
            help="When a run is due, as five cron fields, in UTC or followed by a time zone.", show_default=False
        ),
    ] = "",
    owner: Annotated[str, typer.Option(help="The model's owner.", show_default=False)] = "",
    threshold: Thresholds = None,
    reason: Annotated[str, typer.Option(help="Reason for these thresholds.", show_default=False)] = "",
    by: By = "",
) -> None:
    """Watch a model before its first run, or a retired one again; its next run is then due."""
    from catwalk.gate.limits import of_alerts
    from catwalk.ledger.models import watched
    from catwalk.ledger.records.model import WatchedRecord
    from catwalk.tracking.arguments import settings

    named, schedule = checked(model), settings.schedule(every, cron)
    limits, reasons = of_alerts(_thresholds(threshold or [], reason))
    details: dict[str, Any] = {"thresholds": limits, "threshold_reasons": reasons, "by": by or person()}
    watched.add(ledger_store(), WatchedRecord(named, schedule=schedule, owner=settings.stored_owner(owner), **details))
    print(f"{named} is watched" + (f"; its first run is due by {schedule!r}" if schedule else ""))


@models.command()
def retire(model: Name, by: By = "") -> None:
    """Retire a model: no run of it is due any more. Its runs and champion stay."""
    from catwalk.ledger.models import watched

    store = ledger_store()
    _check_known(store, model)
    watched.retire(store, model, by or person())
    print(f"{model} is retired; a later scheduled run brings it back")


@models.command()
def rename(
    model: Name,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)],
    by: By = "",
) -> None:
    """Rename a model that logs its own runs: its champion moves, its past runs keep the old name."""
    from catwalk.tracking import renaming

    renaming.rename(ledger_store(), model, checked(name), by or person())
    before = f"catwalk runs --model {shlex.quote(model)}"
    print(f"{model} is now {name}: open its runs under that name; `{before}` lists its earlier runs")


def _thresholds(given: list[str], reason: str) -> dict[str, Threshold]:
    """
    Raises:
        ConfigError: One is not ``name=number``, or a name appears twice, or there is a reason without a threshold.
    """
    if reason and not given:
        raise ConfigError("--reason explains a --threshold; give one")
    found = assignments.numbers("--threshold", given, assignments.THRESHOLD)
    return {name: (value, reason.strip()) for name, value in found.items()}


def _check_known(store: Store, model: str) -> None:
    """Checks that a model exists. It reads summaries only if the model has neither a record of its own nor a champion.

    Raises:
        ConfigError: There is no such model.
    """
    from catwalk.ledger.models.champion import Champions
    from catwalk.ledger.models.watched import watched
    from catwalk.ledger.summaries import Summaries

    known = watched(store, model) or Champions(store).find(model)
    if not known and all(summary.model != model for summary in Summaries(store).read()):
        raise ConfigError(f"there is no model {model}; `catwalk models` lists them")
