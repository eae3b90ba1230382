"""Finds the run, champion or model that a command names in the ledger."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError
from catwalk.storage.opening import open_store

if TYPE_CHECKING:
    from catwalk.ledger.records.model import ChampionRecord
    from catwalk.ledger.runs import Ledger, Run
    from catwalk.ledger.summaries import Summaries
    from catwalk.storage.store import Store
    from catwalk.telemetry.observer import Observer


def ledger_store() -> Store:
    """The store of the ledger."""
    return open_store()


def resolve(name: str, model: str = "") -> Run:
    """The run that a name stands for.

    Raises:
        CatwalkError: It matches no run, or more than one.
    """
    from catwalk.errors import DamagedError
    from catwalk.ledger.runs import RUN_ID, Run

    store = ledger_store()
    if name == "champion":
        return Run(store, champion_of(store, model).run_id)
    if name == "latest":
        return Run(store, _latest(store, model))
    if RUN_ID.fullmatch(name):
        run = Run(store, name)
        with suppress(DamagedError):  # the command reports it
            _ = run.record  # raises if there is no such run
        return run
    found = run_ids(store, name)
    if not found:
        raise CatwalkError(f"no run id begins with {name!r}; `catwalk runs` lists the runs")
    if len(found) > 1:
        raise CatwalkError(
            f"{len(found)} run ids begin with {name!r}, such as {found[-1]} and {found[-2]}; give more of the id"
        )
    return Run(store, found[-1])


def _latest(store: Store, model: str) -> str:
    """The id of the newest run, of a model or of all models; for all of them, a listing is enough."""
    from catwalk.ledger.summaries import Summaries

    found = [run.run_id for run in Summaries(store).read() if run.model == model] if model else run_ids(store, "")
    if not found:
        raise CatwalkError(f"there are no runs of {model} yet" if model else "there are no runs yet")
    return found[-1]


def run_ids(store: Store, prefix: str) -> list[str]:
    """Run ids with this prefix, oldest first. It lists summaries, not runs: they are one object per run."""
    from catwalk.ledger.runs import RUN_ID

    if not re.fullmatch(r"[0-9a-fTZ-]*", prefix):
        return []
    keys = [entry.key.removeprefix("summaries/").removesuffix(".json") for entry in store.list(f"summaries/{prefix}")]
    return [key for key in keys if RUN_ID.fullmatch(key)]


def champion_of(store: Store, model: str) -> ChampionRecord:
    """A model's champion; without a model, that of the only model that has one, else that of CATWALK_TRAINABLE's.

    Raises:
        CatwalkError: There is none.
    """
    from catwalk.cli import trainables
    from catwalk.ledger.models.champion import Champions

    champions = Champions(store)
    models = champions.models()
    chosen = model or (models[0] if len(models) == 1 else trainables.default_model())
    found = champions.get(chosen) if chosen in models else None
    if found is None:
        known = f"; models with a champion: {', '.join(models)} (--model)" if models else ""
        which = f"{chosen} has no champion yet: no run of it has shipped" if chosen else "no model was named"
        raise CatwalkError(f"{which}{known}")
    return found[0]


def champion_model(model: str) -> tuple[ChampionRecord, Run, bytes]:
    """The champion, its run, and its verified weights."""
    from catwalk.ledger.models.champion import champion_weights
    from catwalk.ledger.runs import Run

    store = ledger_store()
    champion = champion_of(store, model)
    run = Run(store, champion.run_id)
    if run.model():
        raise CatwalkError(
            f"the model of run {run.run_id} was logged by a program, and only that program can use it; `catwalk fetch` "
            "downloads it"
        )
    return champion, run, champion_weights(store, champion)


def observed_ledger() -> tuple[Ledger, Observer]:
    """The ledger, and the observer of its operations."""
    from catwalk.ledger.runs import Ledger
    from catwalk.telemetry.emitter import observer_from_environment

    observer = observer_from_environment()
    return Ledger(open_store(on_operation=observer.store_operation)), observer


def name_damaged(reader: Summaries) -> None:
    """Reports which summaries are left out, and why."""
    for key, reason in reader.damaged.items():
        complain(f"{key} is damaged and was left out: {reason}")
