"""Reports of the ledger, for a web server: read with short timeouts, and cached until their ETag changes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from catwalk.storage.store import Store

_REMEMBERED_BYTES = 32 * 2**20
_READERS = 4


class BusyError(Exception):
    """Too many requests are already waiting for the store; another one would only wait as well."""


class RunReports:
    """Reads reports and figures. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        """
        Args:
            store: A store with timeouts that are short enough for a person at a browser.
        """
        self._store = store
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_READERS)
        self._remembered: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def page(self, run_id: str) -> bytes | None:
        """Returns a run's report; None if it has none.

        Raises:
            StoreError: the store could not be read.
            BusyError: too many requests are waiting for it.
        """
        return self._read(f"runs/{run_id}/report.html")

    def figure(self, run_id: str, name: str) -> bytes | None:
        """Returns one of its figures as PNG; None if there is none. Raises the same errors as :meth:`page`."""
        return self._read(f"runs/{run_id}/figures/{name}.png")

    def _read(self, key: str) -> bytes | None:
        if not self._slots.acquire(blocking=False):
            raise BusyError
        try:
            etag = self._store.etag(key)
            with self._lock:
                if etag is None:
                    self._remembered.pop(key, None)
                    return None
                known = self._remembered.get(key)
                if known and known[0] == etag:
                    self._remembered.move_to_end(key)
                    return known[1]
            found = self._store.find(key)
            if found is None:
                return None
            self._remember(key, found.etag, found.body)
            return found.body
        finally:
            self._slots.release()

    def _remember(self, key: str, etag: str, body: bytes) -> None:
        with self._lock:
            self._remembered[key] = etag, body
            self._remembered.move_to_end(key)
            while sum(len(held) for _, held in self._remembered.values()) > _REMEMBERED_BYTES:
                self._remembered.popitem(last=False)
