"""A model's own record, beyond its runs: one object per model, changed by compare-and-swap, with its history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

from catwalk.errors import ConfigError
from catwalk.ledger.model_names import of_key, spelling
from catwalk.ledger.records.model import WatchedRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

PREFIX = "models/"
_KEPT = 100
"""Changes in the history; older ones are dropped."""


def key(model: str) -> str:
    """The key of a model's record."""
    return f"{PREFIX}{model}.json"


def watched(store: Store, model: str) -> WatchedRecord | None:
    """A model's own record; None if neither a run nor a person has written it."""
    found = store.find_record(WatchedRecord, key(model))
    return found[0] if found else None


def lineage(store: Store, model: str) -> list[str]:
    """Returns all names of a model: today's first, then its former ones, the latest of them first.

    What a service writes keeps the name that it was written under, and is found by these.

    Args:
        store: The ledger.
        model: Any of its names.
    """
    found = [spelling(model)]
    while (known := watched(store, found[0])) and known.renamed_to and known.renamed_to not in found:
        found.insert(0, known.renamed_to)
    while (known := watched(store, found[-1])) and known.formerly and known.formerly not in found:
        found.append(known.formerly)
    return found


def names(store: Store) -> list[str]:
    """The models that have a record."""
    return [of_key(entry.key, PREFIX) for entry in store.list(PREFIX)]


def note(store: Store, run: RunRecord) -> None:
    """Records what a run says about its model, if it is new; what the run leaves out keeps a person's setting."""

    def made(before: WatchedRecord | None) -> WatchedRecord:
        by_hand = before.by_hand if before and not before.retired else {}
        return WatchedRecord(
            run.model,
            run.problem,
            run.schedule or by_hand.get("schedule", ""),
            run.owner or by_hand.get("owner", ""),
            run.thresholds,
            run.threshold_reasons,
            run.links,
            run.run_id,
            by=_carried(before, run),
            by_hand=by_hand,
            formerly=before.formerly if before else "",
        )

    change(store, run.model, made)


def with_limits(store: Store, run: RunRecord) -> RunRecord:
    """A run with the limits that a person set for its model, if it has none itself."""
    known = None if run.thresholds else watched(store, run.model)
    if known and _has_limits_by_hand(known):
        return replace(run, thresholds=known.thresholds, threshold_reasons=known.threshold_reasons)
    return run


def note_limits(store: Store, run: RunRecord, said: bool) -> None:
    """Records the limits of a run of the stages, if they are new; everything else is in the runs of such a model.

    Args:
        store: The store of the ledger.
        run: The run's record, which may have a person's limits (:func:`with_limits`).
        said: Whether its DAG's file sets limits; even equal ones are then no longer that person's.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        known = before or WatchedRecord(run.model)
        same = (known.thresholds, known.threshold_reasons) == (run.thresholds, run.threshold_reasons)
        if same and not (said and _has_limits_by_hand(known)):
            return known
        renewed = replace(known, thresholds=run.thresholds, threshold_reasons=run.threshold_reasons)
        return replace(renewed, run_id=run.run_id, by="" if said else _carried(before, run))

    if run.thresholds or watched(store, run.model):
        change(store, run.model, made)


def _carried(before: WatchedRecord | None, run: RunRecord) -> str:
    """The person whose limits the run has; empty if they are its own."""
    return before.by if before and _has_limits_by_hand(before) and before.thresholds == run.thresholds else ""


def _has_limits_by_hand(known: WatchedRecord) -> bool:
    return bool(known.by and known.thresholds and not known.retired)


def add(store: Store, said: WatchedRecord) -> None:
    """Records a person's settings for a model before its first run, or for a retired model that comes back.

    Raises:
        ConfigError: It is already in use, or was renamed.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        _check_name(before)
        if before and not before.retired:
            raise ConfigError(f"{said.model} is already watched; its next run sets its own schedule and owner")
        earlier = before or said
        by_hand = {name: text for name, text in (("schedule", said.schedule), ("owner", said.owner)) if text}
        return replace(said, by_hand=by_hand, formerly=earlier.formerly, problem=earlier.problem, links=earlier.links)

    change(store, said.model, made)


def retire(store: Store, model: str, by: str) -> None:
    """Retires a model: no run of it is due any more. Its runs, its champion and its record stay.

    Raises:
        ConfigError: It is already retired, or was renamed.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        _check_name(before)
        if before and before.retired:
            raise ConfigError(f"{model} is already retired, since {day(before.retired)}")
        return replace(before or WatchedRecord(model), retired=time.time(), by=by, run_id="")

    change(store, model, made)


def in_use(known: WatchedRecord | None, runs: Iterable[SummaryRecord]) -> bool:
    """Whether runs of a model can be due: it isn't retired, or a scheduled run began later."""
    retired = known.retired if known else 0.0
    return not retired or any(run.trigger == "schedule" and run.started > retired for run in runs)


def check_name(store: Store, model: str) -> None:
    """
    Raises:
        ConfigError: The model was renamed, or its name has another spelling.
    """
    known = watched(store, model)
    _check_case(known, model)
    _check_name(known)


def _check_case(known: WatchedRecord | None, model: str) -> None:
    """Checks upper and lower case, which some file systems don't distinguish."""
    if known and known.model != model:
        raise ConfigError(
            f"model: this ledger can't distinguish {model} from {known.model}; use that spelling, or another name"
        )


def _check_name(known: WatchedRecord | None) -> None:
    if known and known.renamed_to:
        raise ConfigError(
            f"model: {known.model} was renamed to {known.renamed_to} on {day(known.retired)}; use that name"
        )


def day(moment: float) -> str:
    """The day of a Unix time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def change(store: Store, model: str, made: Callable[[WatchedRecord | None], WatchedRecord]) -> None:
    """Replaces a model's record if it differs; the previous one goes into the history."""

    def step() -> None:
        found = store.find_record(WatchedRecord, key(model))
        before, etag = found or (None, None)
        _check_case(before, model)
        wanted = made(before)
        if before and before == replace(wanted, run_id=before.run_id, changed=before.changed, history=before.history):
            return
        old = {name: value for name, value in asdict(before).items() if name != "history"} if before else None
        history = [*before.history, old][-_KEPT:] if before and old else []
        record = replace(wanted, changed=time.time(), history=history)
        store.put_record(key(model), record, if_match=etag, create=etag is None)

    swap(f"the record of model {model}", step)
