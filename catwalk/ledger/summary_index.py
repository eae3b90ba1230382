"""All summaries once more in one object, so that a reader who knows none needs one GET instead of thousands.

The index is a copy, never the truth: an entry counts only while the listing shows the same ETag for the summary itself.
Whoever has read many summaries one by one writes it anew; the last writer wins, and nothing is lost where none does.
It has a line for each summary, so that of ten thousand none is held in memory twice.
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
"""A line is ``[key, ETag, summary]``."""
WORTHWHILE = 100
"""Summaries that are missing from the index before it is asked for, or written anew: some tenths of a second."""


def read(store: Store) -> dict[str, Stored]:
    """Key → summary as it was when the index was written; empty where there is no index, or none that can be read.

    Raises:
        StoreError: S3 does not answer.
    """
    found = store.find(KEY)
    if found is None:
        return {}
    try:
        with gzip.open(io.BytesIO(found.body)) as lines, many_records():
            return {key: Stored(text.encode(), etag) for key, etag, text in map(json.loads, lines)}
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
        log.warning("%s is damaged and not used: %s", KEY, error)
        return {}


def write(store: Store, summaries: Mapping[str, Stored]) -> None:
    """Replaces the index. Who may not write there (read-only credentials) goes without."""
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
