"""Keys and ETags of all summaries, for a reader that keeps running.

Listing ten thousand keys takes a second, and hardly any of them have changed. So after a first full listing, each read
lists the keys that are likely to change, and one further stretch of the others: the cost of a read doesn't depend on
the number of runs. Only an unexpected change to an old run may be seen later than at the next read: it takes ten reads
to see each of 10,000 again. This doesn't depend on a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from catwalk.ledger.runs import SUMMARIES
from catwalk.storage.store import PAGE, Store

NEWEST = PAGE // 2
"""Newest keys that every read lists: with those added since, one request."""
STRETCH = PAGE
"""Other keys that one read lists; if there are fewer, every read lists them all."""
_ASKING = 8

Etags = dict[str, str]
"""Key → ETag, in the order of the keys."""


@dataclass
class SummaryListing:
    """Lists the summaries of a store repeatedly. A failed read changes nothing."""

    store: Store
    _etags: Etags = field(default_factory=dict, repr=False)
    _reached: str = field(default="", repr=False)
    """The last key of the previous stretch; empty if the next stretch is the first."""

    def read(self, unsettled: Iterable[str] = ()) -> Etags:
        """Key → ETag of every summary.

        Args:
            unsettled: Keys that may have changed, wherever they are in the listing.

        Raises:
            StoreError: The store could not be read.
        """
        known = list(self._etags)
        last = known[-NEWEST - 1] if len(known) > STRETCH else ""
        newest = self._list(last)
        older, reached = self._older(last) if last else ({}, "")
        etags: dict[str, str | None] = {**older, **self._ask(key for key in unsettled if key in older)}
        found = {key: etag for key, etag in etags.items() if etag}
        self._etags, self._reached = {**found, **newest}, reached
        return self._etags

    def _older(self, last: str) -> tuple[Etags, str]:
        """The keys up to `last`, without the newest ones, and how far this read listed them."""
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
