"""A reference, and what a ledger has of the log of its model's service."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.service.log import lines, shipping
from catwalk.storage.store import Store

VERSION = "20261127T183344Z-168e9680"
REFERENCE = ReferenceRecord(
    "churn", VERSION, "binary", ["no", "yes"], "test", "",
    [FeatureReference("score", "prediction", [0.2, 0.5], [], [1, 1, 1])], [], 0.0,
)  # fmt: skip


def stored(store: Store, kept: str, model: str = "churn") -> list[dict[str, Any]]:
    """All lines of the segments of predictions or of labels but their first ones."""
    found = []
    for entry in store.list(f"{kept}/{model}/"):
        _, *others = lines.decoded(gzip.decompress(store.get(entry.key).body))
        found += [line for line in others if line is not None]
    return found


def put_predictions(
    store: Store, day: str, answers: Mapping[str, Any], reference: ReferenceRecord = REFERENCE, **not_logged: int
) -> str:
    """A segment of a day, with one prediction a minute from noon on; its key."""
    header = lines.Header(reference.model, day, reference.run_id, reference.kind, list(reference.classes))
    tally, body = lines.Tally(**not_logged), lines.header(header)
    noon = datetime.fromisoformat(f"{day}T12:00Z").timestamp()
    for minute, (id_, value) in enumerate(answers.items()):
        tally.logged += 1
        body += lines.answer(lines.Answer(id_, noon + 60 * minute, value), tally)
    return shipping.put(store, vars(header), body)
