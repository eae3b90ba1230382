"""The stored record of a model's realised quality in service; :mod:`catwalk.service.labels` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from catwalk.errors import DamagedError, PreconditionFailedError
from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.storage.store import Store

PREFIX = "realised/"
Current = tuple[RealisedRecord | None, str | None]
"""A record, and the ETag to replace it by."""


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


def current(store: Store, model: str) -> Current:
    """Returns what the last join has found, and the ETag to replace it by; a damaged record counts as none."""
    etag = store.etag(key(model))
    with suppress(DamagedError):
        return store.find_record(RealisedRecord, key(model)) or (None, None)
    return None, etag


def replace_all(store: Store, names: Sequence[str], made: RealisedRecord, before: Sequence[Current]) -> None:
    """Stores the record of a model; those of its former names, whose days it has by now, are emptied.

    Args:
        store: The ledger.
        names: All names of the model, today's first.
        made: The record.
        before: What :func:`current` has returned for each name.

    Raises:
        PreconditionFailedError: One of them has changed since.
    """
    etag = before[0][1]
    store.put_record(key(names[0]), made, if_match=etag, create=etag is None)
    for name, (former, etag) in zip(names[1:], before[1:], strict=True):
        if former and former.days:
            store.put_record(key(name), _emptied(former), if_match=etag)


def move(store: Store, old: str, new: str) -> None:
    """Makes the figures of a model those of its new name. If this is interrupted, the next join does the rest."""
    found, etag = current(store, old)
    if found and found.days:
        with suppress(PreconditionFailedError):  # a join was faster
            store.put_record(key(new), replace(found, model=new), create=True)
            store.put_record(key(old), _emptied(found), if_match=etag)


def _emptied(record: RealisedRecord) -> RealisedRecord:
    """It stays, so that a join that still knows the model by this name can't create it."""
    return replace(record, days=[], windows={}, labels={}, received=None)
