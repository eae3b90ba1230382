"""What a run needs: its dataset, the disk, the store."""

from __future__ import annotations

import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from catwalk.cli import trainables
from catwalk.cli.doctor.check import Unwell
from catwalk.environment.parts import home
from catwalk.errors import DownloadError, PreconditionFailedError
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.trainable import Checkable

_WRITERS = 8
_GIBIBYTE = 2**30


def dataset() -> str:
    found = trainables.default()
    if found is None:
        raise Unwell("not checked: CATWALK_TRAINABLE is not set", "set it to package.module:NAME", "WARN")
    if not isinstance(found, Checkable):
        return f"{found.reference} doesn't describe its data"
    try:
        return found.check()
    except DownloadError as error:
        finding, _, remedy = str(error).partition("; ")
        raise Unwell(finding, remedy, "WARN") from error


def disk() -> str:
    folder = next(path for path in (home(), *home().parents) if path.exists())
    free = shutil.disk_usage(folder).free / _GIBIBYTE
    finding = f"{free:.1f} GiB free under {folder}"
    if free < 5:
        raise Unwell(finding, "free some space: metrics, logs and checkpoints grow", "WARN" if free >= 1 else "FAIL")
    return finding


def store() -> str:
    store = open_store()
    started = time.perf_counter()
    store.check()
    took = 1000 * (time.perf_counter() - started)
    _round_trip(store)
    return f"{store.place} answers in {took:.0f} ms, and returns what was written"


def _round_trip(store: Store) -> None:
    """Writes, reads and lists an object: a proxy in front of S3 may normalise names, so that objects are lost."""
    key, body = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(8)
    store.put(key, body)
    try:
        found = store.find(key)
        listed = [entry.key for entry in store.list("doctor/")]
    finally:
        store.delete(key)
    lost = [how for how, well in (("read", found and found.body == body), ("listed", key in listed)) if not well]
    lost += ["deleted"] * store.exists(key)
    if lost:
        raise Unwell(
            f"{store.place} accepted an object, but then it could not be {' or '.join(lost)}",
            "correct CATWALK_STORE's prefix, or the proxy in front of that S3",
        )


def conditional_writes() -> str:
    """Tests them with concurrent writers: some servers accept the conditions and ignore them, and the champion pointer
    relies on them.
    """
    store = open_store()
    key = f"doctor/{secrets.token_hex(8)}"
    remedy = (
        "runs and the champion pointer need them: use an S3 server that supports them (versitygw from 1.8.0, AWS), "
        "without a proxy in front that changes ETags"
    )

    def wins(body: bytes, **condition: Any) -> bool:
        try:
            store.put(key, body, **condition)
            return True
        except PreconditionFailedError:
            return False

    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            created = sum(pool.map(lambda number: wins(b"create %d" % number, create=True), range(_WRITERS)))
            etag = store.get(key).etag
            swapped = sum(pool.map(lambda number: wins(b"swap %d" % number, if_match=etag), range(_WRITERS)))
    finally:
        store.delete(key)
    if (created, swapped) != (1, 1):
        raise Unwell(
            f"of {_WRITERS} concurrent writers, {created} created and {swapped} replaced the same object", remedy
        )
    return f"of {_WRITERS} concurrent writers, one creates and one replaces"
