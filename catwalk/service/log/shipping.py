"""Moves closed segments from a folder of this machine to the ledger, each under the hash of its lines."""

from __future__ import annotations

import gzip
import hashlib
import logging
from pathlib import Path
from typing import Any

from catwalk.errors import StoreUnavailableError
from catwalk.ledger.model_names import spelling
from catwalk.service.log import lines
from catwalk.service.log.segment import SUFFIX, left, segments
from catwalk.storage.store import Store

log = logging.getLogger("catwalk.service")

PAUSE_SECONDS = 10.0
PREDICTIONS = "predictions/"
LABELS = "labels/"


def ship(folder: Path, store: Store) -> int:
    """Moves every segment that no one writes to any more to the ledger, and removes it here; returns how many.

    A kill between the two leaves it here; the next time, it gets the same key, so it is in the ledger once. A segment
    that can't be read or stored stays here, and doesn't hold up the others.

    Raises:
        StoreUnavailableError: The store does not answer; what is not there yet stays here.
        Exception: The last error that kept a segment here, once all others are shipped.
    """
    shipped = 0
    failed: Exception | None = None
    for path in segments(folder):
        try:
            with left(path) as mine:
                shipped += mine and _ship(path, store)
        except StoreUnavailableError:
            raise
        except Exception as error:
            failed = error
    if failed:
        raise failed
    return shipped


def _ship(path: Path, store: Store) -> bool:
    body = lines.whole(path.read_bytes())
    found = list(lines.decoded(body))
    if len(found) > 1:
        head = found[0] or {}
        if not all(isinstance(head.get(name), str) and head[name] for name in ("model", "day")):
            path.rename(path.with_suffix(".damaged"))
            log.warning("%s does not say what it belongs to; it is kept as %s", path, path.with_suffix(".damaged"))
            return False
        put(store, head, body)
    path.unlink(missing_ok=True)
    return len(found) > 1


def put(store: Store, head: dict[str, Any], body: bytes) -> str:
    """Stores a segment of whole lines; returns its key.

    Raises:
        StoreError: The store failed.
    """
    kept = PREDICTIONS if head.get("version") else LABELS
    key = f"{kept}{spelling(head['model'])}/{head['day']}/{hashlib.sha256(body).hexdigest()}{SUFFIX}.gz"
    store.put(key, gzip.compress(body, mtime=0))
    return key
