"""A reference, and what a ledger has of the log of its model's service."""

from __future__ import annotations

import gzip
from typing import Any

from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.service.log import lines
from catwalk.storage.store import Store

VERSION = "20261127T183344Z-168e9680"
REFERENCE = ReferenceRecord(
    "churn", VERSION, "binary", ["no", "yes"], "test", "",
    [FeatureReference("score", "prediction", [0.2, 0.5], [], [1, 1, 1])], [], 0.0,
)  # fmt: skip


def stored(store: Store, kept: str) -> list[dict[str, Any]]:
    """All lines of the segments of predictions or of labels but their first ones."""
    found = []
    for entry in store.list(f"{kept}/churn/"):
        _, *others = lines.decoded(gzip.decompress(store.get(entry.key).body))
        found += [line for line in others if line is not None]
    return found
