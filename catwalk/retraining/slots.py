"""Slots in the ledger, one per model, changed by compare-and-swap."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace

from catwalk.errors import ConfigError
from catwalk.ledger.model_names import of_key
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.retraining.events import Event
from catwalk.retraining.transitions import step
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

PREFIX = "retraining/"


def key(model: str) -> str:
    """The key of a model's slot."""
    return f"{PREFIX}{model}.json"


def find(store: Store, model: str) -> tuple[SlotRecord, str] | None:
    """A model's slot and its ETag; None: it was never turned on, and no alert has requested a retraining."""
    return store.find_record(SlotRecord, key(model))


def slot(store: Store, model: str) -> SlotRecord | None:
    """A model's slot, if it has one."""
    found = find(store, model)
    return found[0] if found else None


def etags(store: Store) -> Iterator[tuple[str, str]]:
    """The model and the ETag of each slot."""
    for entry in store.list(PREFIX):
        yield of_key(entry.key, PREFIX), entry.etag


def keep(store: Store, slot: SlotRecord, etag: str | None) -> str:
    """Replaces the slot that has this ETag, or writes the first one; returns the new ETag.

    Raises:
        PreconditionFailedError: It was changed in the meantime.
    """
    record = replace(slot, write=secrets.token_hex(8))
    return store.put_record(key(slot.model), record, if_match=etag, create=etag is None)


def change(store: Store, model: str, event: Event) -> SlotRecord:
    """Applies a person's change to a slot, even if others change it at the same moment."""

    def once() -> SlotRecord:
        found = find(store, model)
        before, etag = found or (SlotRecord(model), None)
        after = step(before, event, time.time()).slot
        if after != before:
            keep(store, after, etag)
        return after

    return swap(f"the retraining of {model}", once)


def check_may_move(store: Store, model: str) -> None:
    """
    Raises:
        ConfigError: A retraining is requested or running: its run in Airflow has the model's name in its id.
    """
    found = slot(store, model)
    if found and found.state in ("wanted", "running"):
        raise ConfigError(
            f"retraining {found.number} of {model}, which an alert has requested, is {found.state}; rename the model "
            f"when it has ended, `catwalk retraining status {model}` shows it"
        )


def move(store: Store, old: str, new: str) -> None:
    """Makes the slot of a model that of its new name. If this is interrupted, call it again.

    Raises:
        ConfigError: A retraining of the model has been requested meanwhile.
    """

    def once() -> bool:
        check_may_move(store, old)
        found, there = find(store, old), find(store, new)
        if found is None:
            return False
        if there is None or _progress(there[0]) <= _progress(found[0]):
            keep(store, replace(found[0], model=new), there[1] if there else None)
        keep(store, SlotRecord(old), found[1])  # off: from here on no alert can move it
        return True

    if swap(f"the retraining of {old}", once):
        store.delete(key(old))


def _progress(slot: SlotRecord) -> tuple[int, float]:
    """Returns what tells a slot from a copy that an interrupted move has left of it: the one with more of it counts."""
    return slot.number, slot.changed
