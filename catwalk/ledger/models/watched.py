"""What is known of a model beyond its runs: one object a model, changed by compare-and-swap, with what held before."""

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
"""Changes; older ones are forgotten."""


def key(model: str) -> str:
    """Where it lives."""
    return f"{PREFIX}{model}.json"


def watched(store: Store, model: str) -> WatchedRecord | None:
    """What is known of a model; None: neither its runs nor anybody has said anything."""
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
    """The models of which something is known."""
    return [of_key(entry.key, PREFIX) for entry in store.list(PREFIX)]


def note(store: Store, run: RunRecord) -> None:
    """Takes what a run says of its model, where that is new; of what it doesn't say a person's word stays."""

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
    """A run with the limits that a person has given its model, where it says none itself."""
    known = None if run.thresholds else watched(store, run.model)
    if known and _has_limits_by_hand(known):
        return replace(run, thresholds=known.thresholds, threshold_reasons=known.threshold_reasons)
    return run


def note_limits(store: Store, run: RunRecord, said: bool) -> None:
    """Takes the limits of a run of the stages, where they are new; all else of such a model its runs say themselves.

    Args:
        store: that the ledger lies in.
        run: whose record may have the limits of a person (:func:`with_limits`).
        said: whether its DAG's file says limits, which may be the same: they are that person's no more.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        known = before or WatchedRecord(run.model)
        same = (known.thresholds, known.threshold_reasons) == (run.thresholds, run.threshold_reasons)
        if same and not (said and _has_limits_by_hand(known)):
            return known
        told = replace(known, thresholds=run.thresholds, threshold_reasons=run.threshold_reasons)
        return replace(told, run_id=run.run_id, by="" if said else _carried(before, run))

    if run.thresholds or watched(store, run.model):
        change(store, run.model, made)


def _carried(before: WatchedRecord | None, run: RunRecord) -> str:
    """The person whose limits the run has; empty: they are its own."""
    return before.by if before and _has_limits_by_hand(before) and before.thresholds == run.thresholds else ""


def _has_limits_by_hand(known: WatchedRecord) -> bool:
    return bool(known.by and known.thresholds and not known.retired)


def add(store: Store, said: WatchedRecord) -> None:
    """Takes what a person says of a model before its first run, or of a retired one that comes back.

    Raises:
        ConfigError: it is in use already, or has another name.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        _check_name(before)
        if before and not before.retired:
            raise ConfigError(f"{said.model} is watched already; what its next run says of itself counts")
        told = before or said
        by_hand = {name: text for name, text in (("schedule", said.schedule), ("owner", said.owner)) if text}
        return replace(said, by_hand=by_hand, formerly=told.formerly, problem=told.problem, links=told.links)

    change(store, said.model, made)


def retire(store: Store, model: str, by: str) -> None:
    """Takes a model out of use: no run of it is due any more. Its runs, its champion and what was known of it stay.

    Raises:
        ConfigError: it is retired already, or has another name.
    """

    def made(before: WatchedRecord | None) -> WatchedRecord:
        _check_name(before)
        if before and before.retired:
            raise ConfigError(f"{model} is retired already, since {day(before.retired)}")
        return replace(before or WatchedRecord(model), retired=time.time(), by=by, run_id="")

    change(store, model, made)


def in_use(known: WatchedRecord | None, runs: Iterable[SummaryRecord]) -> bool:
    """Whether a model is due to run: nobody has retired it, or a scheduled one of its runs began later."""
    retired = known.retired if known else 0.0
    return not retired or any(run.trigger == "schedule" and run.started > retired for run in runs)


def check_name(store: Store, model: str) -> None:
    """
    Raises:
        ConfigError: the model has another name by now, or is spelt otherwise.
    """
    known = watched(store, model)
    _check_case(known, model)
    _check_name(known)


def _check_case(known: WatchedRecord | None, model: str) -> None:
    """A file system may know a name by another's upper and lower case."""
    if known and known.model != model:
        raise ConfigError(f"model: {model} is {known.model} where this ledger lies; spell it so, or name it otherwise")


def _check_name(known: WatchedRecord | None) -> None:
    if known and known.renamed_to:
        raise ConfigError(f"model: {known.model} was renamed on {day(known.retired)}; its name is {known.renamed_to}")


def day(moment: float) -> str:
    """Of a Unix time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def change(store: Store, model: str, made: Callable[[WatchedRecord | None], WatchedRecord]) -> None:
    """Replaces what is known of a model, where that differs; what held before goes into the history."""

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

    swap(f"what is known of {model}", step)
