"""The stored record of a model's realised quality in service; :mod:`catwalk.service.labels` writes it."""

from __future__ import annotations

from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.storage.store import Store

PREFIX = "realised/"


def key(model: str) -> str:
    """The key of a model's record."""
    return f"{PREFIX}{spelling(model)}.json"


def realised(store: Store, model: str) -> RealisedRecord | None:
    """The result of the last join; None if there was none.

    Raises:
        DamagedError: The record is damaged.
    """
    found = store.find_record(RealisedRecord, key(model))
    return found[0] if found else None
