"""Removes logged predictions and labels by their day."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from catwalk.errors import NotFoundError
from catwalk.ledger.models import watched
from catwalk.service.labels import realised
from catwalk.service.labels.stored import day_of
from catwalk.service.log.shipping import LABELS, PREDICTIONS
from catwalk.storage.store import Store


def expired(store: Store, days: int, now: float) -> list[str]:
    """Returns the keys of the segments that are older than a number of days, the oldest day of each model first.

    Args:
        store: The ledger.
        days: The number of days that stay.
        now: Unix time.
    """
    first = f"{datetime.fromtimestamp(now, UTC) - timedelta(days=days):%Y-%m-%d}"
    keys = [entry.key for kept in (PREDICTIONS, LABELS) for entry in store.list(kept)]
    return [key for key in keys if day_of(key) < first]


def remove(store: Store, keys: Sequence[str], now: float) -> None:
    """Joins the labels of each model once more, and then deletes the segments. The figures of each day stay.

    Args:
        store: The ledger.
        keys: The keys of the segments.
        now: Unix time.

    Raises:
        StoreError: The ledger can't be read or written; if a join fails, nothing is deleted.
    """
    folders = dict.fromkeys(key.split("/")[1] for key in keys)
    for model in dict.fromkeys(watched.lineage(store, name)[0] for name in folders):
        with suppress(NotFoundError):  # there are only labels, which say nothing about any day
            realised.join(store, model, now)
    for key in keys:
        store.delete(key)
