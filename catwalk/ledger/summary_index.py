"""A copy of all summaries in one object, so that a new reader needs one GET instead of thousands.

The index is never the source of truth: an entry counts only while the listing shows the same ETag for the summary
itself. A reader that has read many summaries one by one rewrites it; the last writer wins, and a missing write loses
nothing. It has one line per summary, so that no summary is in memory twice, even with ten thousand of them.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import zlib
from collections.abc import Mapping

from catwalk.codec import many_records
from catwalk.errors import StoreError
from catwalk.storage.store import Store, Stored

log = logging.getLogger(__name__)

KEY = "indexes/summaries.jsonl.gz"
"""The index; each line is ``[key, ETag, summary]``."""
WORTHWHILE = 100
"""Number of missing summaries from which it pays to read or rewrite the index: some tenths of a second."""


def read(store: Store) -> dict[str, Stored]:
    """Key → summary at the time when the index was written; empty if there is no readable index.

    Raises:
        StoreError: The store doesn't answer.
    """
    found = store.find(KEY)
    if found is None:
        return {}
    try:
        with gzip.open(io.BytesIO(found.body)) as lines, many_records():
            return {key: Stored(text.encode(), etag) for key, etag, text in map(json.loads, lines)}
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
        log.warning("%s is damaged and was not used: %s", KEY, error)
        return {}


def write(store: Store, summaries: Mapping[str, Stored]) -> None:
    """Replaces the index. A reader with read-only credentials does without it."""
    body = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, body, mtime=0) as lines:
        for key, stored in summaries.items():
            if _is_text(stored.body):
                lines.write(json.dumps([key, stored.etag, stored.body.decode()]).encode() + b"\n")
    try:
        store.put(KEY, body.getvalue())
    except StoreError as error:
        log.debug("the index of summaries was not written: %s", error)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
