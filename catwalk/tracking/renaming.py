"""Renames a model: its champion, schedule, salt and service figures move.

Its runs, and the predictions and labels of its services, stay as they were written and still count: the model's former
names find them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from catwalk.errors import ConfigError, PreconditionFailedError
from catwalk.ledger.models import realised, watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.model import WatchedRecord
from catwalk.ledger.runs import Run
from catwalk.retraining import slots
from catwalk.storage.store import Store
from catwalk.tracking.arguments.keys import salt_key
from catwalk.tracking.closing import open_key


def rename(store: Store, old: str, new: str, by: str) -> None:
    """Moves the champion, the schedule, the salt of keys, the figures of the service and the settings and history of
    retraining on request to a new name, under which new runs compete with the old name's champion. The old name can no
    longer open runs. After an interruption, or a run that opened at the same moment, call it again.

    Raises:
        ConfigError: The new name is taken, a run is open or requested under the old one, or the model is not one that
            logs.
    """
    _check(store, old, new)

    def left(before: WatchedRecord | None) -> WatchedRecord:
        if before and before.renamed_to == new:
            return before
        return replace(before or WatchedRecord(old), renamed_to=new, retired=time.time(), by=by, run_id="")

    def taken(before: WatchedRecord | None) -> WatchedRecord:
        known = watched.watched(store, old) or WatchedRecord(old)
        return before or replace(known, model=new, formerly=old, renamed_to="", **_as_before(known))

    watched.change(store, old, left)
    _check_closed(store, old)
    _copy(store, salt_key(old), salt_key(new))
    Champions(store).move(old, new)
    realised.move(store, old, new)
    slots.move(store, old, new)
    watched.change(store, new, taken)


def _as_before(known: WatchedRecord) -> dict[str, Any]:
    """The fields that a rename changed in the old name's record: whether it is retired, and who set its limits."""
    was = known.history[-1] if known.history else {}
    return {"retired": 0.0} | {name: was[name] for name in ("retired", "by", "run_id") if name in was}


def _check(store: Store, old: str, new: str) -> None:
    known, target = watched.watched(store, old), watched.watched(store, new)
    champion = Champions(store).find(old)
    if not (known or champion):
        raise ConfigError(f"there is no model {old}; `catwalk models` lists them")
    if known and known.renamed_to and known.renamed_to != new:
        watched.check_name(store, old)
    if old == new or (target and target.formerly != old):
        raise ConfigError(f"the name {new} is taken; `catwalk models` lists them all")
    told = champion[0].run_id if champion else known.run_id if known else ""
    if told and not Run(store, told).record.problem:
        raise ConfigError(f"{old} is the name of a Trainable's model; rename it in the Trainable")
    _check_closed(store, old)
    slots.check_may_move(store, old)


def _check_closed(store: Store, model: str) -> None:
    for entry in store.list(open_key(model, "")):
        run_id = entry.key.rpartition("/")[2]
        raise ConfigError(
            f"run {run_id} of {model} is open; close it, or `catwalk finish {run_id}` if it has died, and rename again"
        )


def _copy(store: Store, source: str, target: str) -> None:
    found = store.find(source)
    with suppress(PreconditionFailedError):
        if found:
            store.put(target, found.body, create=True)
