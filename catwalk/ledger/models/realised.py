"""Where it is kept how well a model did in service; :mod:`catwalk.service.labels` makes it."""

from __future__ import annotations

from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.storage.store import Store

PREFIX = "realised/"


def key(model: str) -> str:
    """Where the record of a model lives."""
    return f"{PREFIX}{spelling(model)}.json"


def realised(store: Store, model: str) -> RealisedRecord | None:
    """What the last join has found; None: there was none.

    Raises:
        DamagedError: it is no such record.
    """
    found = store.find_record(RealisedRecord, key(model))
    return found[0] if found else None
