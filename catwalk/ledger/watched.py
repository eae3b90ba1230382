"""What is known of a model beyond its runs: one object a model, changed by compare-and-swap, with what held before."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from catwalk.ledger.records import RunRecord, WatchedRecord
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

_KEPT = 100
"""Changes; older ones are forgotten."""


def key(model: str) -> str:
    """Where it lives."""
    return f"models/{model}.json"


def watched(store: Store, model: str) -> WatchedRecord | None:
    """What is known of a model; None: none of its runs has said anything."""
    found = store.find_record(WatchedRecord, key(model))
    return found[0] if found else None


def note(store: Store, run: RunRecord) -> None:
    """Takes what a run says of its model, where that is new."""
    said = WatchedRecord(
        run.model, run.problem, run.schedule, run.owner, run.thresholds, run.links, run.run_id, time.time()
    )

    def step() -> None:
        found = store.find_record(WatchedRecord, key(run.model))
        before = found[0] if found else None
        if before and before == replace(said, run_id=before.run_id, changed=before.changed, history=before.history):
            return
        old = {name: value for name, value in asdict(before).items() if name != "history"} if before else None
        history = [*before.history, old][-_KEPT:] if before and old else []
        store.put_record(
            key(run.model), replace(said, history=history), if_match=found[1] if found else None, create=found is None
        )

    swap(f"what is known of {run.model}", step)
