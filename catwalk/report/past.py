"""Summaries of the runs before: from the index of summaries where there is one, else one by one, the newest only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from catwalk.codec import from_json
from catwalk.ledger import summary_index
from catwalk.ledger.records import SummaryRecord, is_time
from catwalk.storage.store import Entry, Store

MOST_RUNS = 1_000
"""A chart of more would be a smear."""
ONE_BY_ONE = 100
"""Summaries that are read with a request each: a report should not take longer for having a long past."""
_READERS = 16


def read_past(store: Store, model: str) -> tuple[list[SummaryRecord], int]:
    """Summaries of a model's newest runs, oldest first, and how many runs of any model were left out.

    What is damaged is left out too: the registry names it.

    Raises:
        StoreError: S3 could not be read.
    """
    entries = list(store.list("summaries/"))
    newest = entries[-MOST_RUNS:]
    texts = _indexed(store, newest) if len(newest) > ONE_BY_ONE else {}
    loose = [entry for entry in newest if entry.key not in texts][-ONE_BY_ONE:]
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        for entry, stored in zip(loose, pool.map(lambda entry: store.find(entry.key), loose), strict=True):
            if stored:
                texts[entry.key] = stored.body
    found = [_decode(text) for _, text in sorted(texts.items())]
    return [summary for summary in found if summary and summary.model == model], len(entries) - len(texts)


def _indexed(store: Store, entries: Sequence[Entry]) -> dict[str, bytes]:
    """Key → summary, as far as the index holds the version that was listed."""
    listed = {entry.key: entry.etag for entry in entries}
    index = summary_index.read(store)
    return {key: stored.body for key, stored in index.items() if listed.get(key) == stored.etag}


def _decode(text: bytes) -> SummaryRecord | None:
    try:
        summary = from_json(SummaryRecord, text)
    except (ValueError, RecursionError):
        return None
    return summary if is_time(summary.started) else None
