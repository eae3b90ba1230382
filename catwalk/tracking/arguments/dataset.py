"""The dataset of a run that logs."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from catwalk.errors import InputError, shown
from catwalk.ledger.records.dataset import DatasetRecord, moment
from catwalk.ledger.runs import Run, touched, with_dataset
from catwalk.redaction import without_credentials
from catwalk.tracking.arguments.plain import text


def record(as_of: Any, source: str, sha256: str, statistics: Mapping[str, float]) -> DatasetRecord:
    """
    Raises:
        InputError: `as_of` is not a date, `sha256` not a hash, or `source` not text.
    """
    given = as_of.isoformat() if isinstance(as_of, date) else str(as_of or "")
    if given:
        _check_moment(given)
    if not re.fullmatch("([0-9a-f]{64})?", text("sha256", sha256)):
        raise InputError(f"sha256: expected 64 hex digits; got {shown(sha256, 70)}")
    named = without_credentials(text("source", source))[:500]
    # Without a hash, data of the same source and time counts as the same.
    digest = sha256 or hashlib.sha256(f"{named}\0{given}".encode()).hexdigest()
    return DatasetRecord(digest, named, False, {}, {}, statistics=dict(statistics), as_of=given)


def store(run: Run, found: DatasetRecord) -> None:
    """Writes ``dataset.json``; replaces that of an earlier attempt."""
    run.store.put_record(run.key("dataset.json"), replace(found, synthetic=run.record.synthetic))
    run.update_summary(lambda summary: touched(with_dataset(summary, found), time.time()))


def _check_moment(given: str) -> None:
    try:
        moment(given)
    except ValueError:
        raise InputError(f"as_of: expected a date or time, such as '2026-11-25'; got {shown(given)}") from None
