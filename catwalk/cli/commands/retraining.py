"""``catwalk retraining``: whether alerts may request a retraining of a model, and the results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli.commands.watched import Name
from catwalk.cli.lookup import ledger_store
from catwalk.cli.options import By, Json, person
from catwalk.environment.schedule import span
from catwalk.errors import CatwalkError, ConfigError
from catwalk.ledger.model_names import checked

if TYPE_CHECKING:
    from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
    from catwalk.storage.store import Store

retraining = typer.Typer(
    help="Let alerts request a retraining of a model, once each and within a budget, and see the results.",
    no_args_is_help=True,
)


Dag = Annotated[str, typer.Option(help="DAG that retrains it; default: that of its last run.", show_default=False)]
Cooldown = Annotated[
    str, typer.Option(help="Minimum time from a verdict to the next request, such as 24h.", show_default=False)
]
Budget = Annotated[
    int | None, typer.Option(min=1, max=100, help="Maximum number of requested runs in seven days.", show_default=False)
]
Watch = Annotated[str, typer.Option(help="How long to watch a shipped version, such as 48h.", show_default=False)]
Predictions = Annotated[
    int | None, typer.Option(min=0, help="Predictions that it must also have made by then.", show_default=False)
]
Strikes = Annotated[
    int | None,
    typer.Option(
        min=1, max=10, help="Retrainings in a row without success that stop further ones.", show_default=False
    ),
]


@retraining.command()
def on(
    model: Name,
    dag: Dag = "",
    cooldown: Cooldown = "",
    budget: Budget = None,
    watch: Watch = "",
    predictions: Predictions = None,
    strikes: Strikes = None,
    by: By = "",
) -> None:
    """Let alerts with the label retrain="yes" request a retraining. Options that you leave out keep their value."""
    from catwalk.retraining import slots
    from catwalk.retraining.events import TurnedOn

    store, named = ledger_store(), checked(model)
    found = slots.find(store, named)
    settings = found[0].settings if found else None
    options = {
        "dag_id": dag or (settings.dag_id if settings else "") or _last_dag(store, named),
        "cooldown_seconds": _seconds("--cooldown", cooldown),
        "budget": budget,
        "watch_seconds": _seconds("--watch", watch),
        "watch_predictions": predictions,
        "strikes": strikes,
    }
    after = slots.change(store, named, TurnedOn(_settings(settings, options), by or person()))
    print(f"{named}: an alert may request a run of {after.settings.dag_id}, {_limits(after.settings)}")


@retraining.command()
def off(model: Name, by: By = "") -> None:
    """Stop alerts from requesting a retraining. A run that is under way continues."""
    from catwalk.retraining import slots
    from catwalk.retraining.events import TurnedOff

    store = ledger_store()
    _slot(store, model)
    slots.change(store, model, TurnedOff(by or person()))
    print(f"{model}: alerts can no longer request a retraining")


@retraining.command()
def reset(model: Name, by: By = "") -> None:
    """Close the breaker, once you know why retraining did not help."""
    from catwalk.retraining import slots
    from catwalk.retraining.events import Reset

    store = ledger_store()
    if _slot(store, model).state != "breaker":
        raise CatwalkError(f"the breaker of {model} is not open; `catwalk retraining status {model}` shows the state")
    slots.change(store, model, Reset(by or person()))
    print(f"{model}: the breaker is closed; the next alert may request a run")


@retraining.command()
def status(model: Name, json: Json = False) -> None:
    """Show the state of a model's retraining: requests, results and refusals."""
    from catwalk.cli.tables import output, retraining_table

    slot = _slot(ledger_store(), model)
    if json:
        output.print_json(output.plain(slot))
        return
    output.show(*retraining_table.facts(slot, time.time()))


def _slot(store: Store, model: str) -> SlotRecord:
    """
    Raises:
        CatwalkError: The model has no slot.
    """
    from catwalk.retraining import slots

    found = slots.find(store, model)
    if not found:
        raise CatwalkError(f"retraining of {model} was never turned on; `catwalk retraining on {model}` does that")
    return found[0]


def _settings(before: RetrainingSettings | None, options: Mapping[str, object]) -> RetrainingSettings:
    from catwalk.ledger.records.retraining import RetrainingSettings

    given = {name: value for name, value in options.items() if value is not None}
    return replace(before or RetrainingSettings(), **given)  # type: ignore[arg-type]


def _seconds(option: str, text: str) -> float | None:
    """
    Raises:
        ConfigError: The text is not a duration.
    """
    if not text:
        return None
    if not span(text):
        raise ConfigError(f"{option} must be a duration such as 24h, 90 min or 2d, not {text!r}")
    return span(text)


def _limits(settings: RetrainingSettings) -> str:
    from catwalk.environment.schedule import span_text

    return (
        f"{settings.budget} in seven days, {span_text(settings.cooldown_seconds)} apart; a shipped version is watched "
        "for "
        f"{span_text(settings.watch_seconds)} and {settings.watch_predictions:,} predictions"
    )


def _last_dag(store: Store, model: str) -> str:
    """
    Raises:
        ConfigError: No DAG has run the model.
    """
    from catwalk.cli.tables import model_table

    found = next((row.dag_id for row in model_table.rows(store) if row.model == model), "")
    if not found:
        raise ConfigError(f"no DAG has run {model} yet; name the one that retrains it with --dag")
    return found
