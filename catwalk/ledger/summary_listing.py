"""Keys and ETags of all summaries, as a reader that goes on keeps them.

To list ten thousand keys takes a second, and next to none of them has changed. So a reader that has listed them all
lists what changes at every read, and of the others another stretch at each: a read costs the same however many runs
there are. What it may see later than at the next read is a change to an old run that nobody expects to change: to see
each of 10,000 again takes ten reads. No clock has a part in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from catwalk.ledger.runs import SUMMARIES
from catwalk.storage.store import PAGE, Store

NEWEST = PAGE // 2
"""So many of the newest keys are listed at every read: with those that have come since, one request."""
STRETCH = PAGE
"""So many of the others are listed at a read; fewer keys than these are all listed at every read."""
_ASKING = 8

Etags = dict[str, str]
"""Key → ETag, in the order of the keys."""


@dataclass
class SummaryListing:
    """Lists the summaries of a store again and again. A read that fails changes nothing."""

    store: Store
    _etags: Etags = field(default_factory=dict, repr=False)
    _reached: str = field(default="", repr=False)
    """The last key of the stretch before; empty: the next one is the first."""

    def read(self, unsettled: Iterable[str] = ()) -> Etags:
        """Every summary that there is.

        Args:
            unsettled: keys that may have changed, wherever they stand.

        Raises:
            StoreError: the store could not be read.
        """
        known = list(self._etags)
        last = known[-NEWEST - 1] if len(known) > STRETCH else ""
        newest = self._list(last)
        older, reached = self._older(last) if last else ({}, "")
        told: dict[str, str | None] = {**older, **self._ask(key for key in unsettled if key in older)}
        found = {key: etag for key, etag in told.items() if etag}
        self._etags, self._reached = {**found, **newest}, reached
        return self._etags

    def _older(self, last: str) -> tuple[Etags, str]:
        """The keys up to the last one that are no newest ones, and how far they were listed now."""
        stretch = self._list(self._reached, STRETCH)
        end = max(stretch, default="") if len(stretch) == STRETCH else last
        before = {key: etag for key, etag in self._etags.items() if key <= self._reached}
        behind = {key: etag for key, etag in self._etags.items() if end < key <= last}
        listed = {key: etag for key, etag in stretch.items() if key <= last}
        return {**before, **listed, **behind}, end if end < last else ""

    def _list(self, after: str, most: int | None = None) -> Etags:
        return {entry.key: entry.etag for entry in islice(self.store.list(SUMMARIES, after), most)}

    def _ask(self, keys: Iterable[str]) -> dict[str, str | None]:
        asked = list(keys)
        with ThreadPoolExecutor(_ASKING) as pool:
            return dict(zip(asked, pool.map(self.store.etag, asked), strict=True))
