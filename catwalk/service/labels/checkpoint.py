"""What the last join of a model has read and found, so that the next one reads only what has changed.

``joins/<model>.npz`` can be removed at any time: the next join then reads everything, and finds the same.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.codec import from_json, to_json
from catwalk.ledger.model_names import spelling
from catwalk.ledger.records.realised import DayRecord
from catwalk.service.labels import stored
from catwalk.storage.store import Store

SCHEMA = 1
Hashes = NDArray[np.uint64]
_NONE: Hashes = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Findings:
    """What all segments say that have been read."""

    days: list[DayRecord] = field(default_factory=list)
    """The oldest first."""
    counts: dict[str, int] = field(default_factory=dict)
    """Outcome → number of labels."""
    first_keys: dict[str, str] = field(default_factory=dict)
    """Version → the key of its first segment."""
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Version → the first line of that."""
    problems: dict[str, str] = field(default_factory=dict)
    """Version → its problem, as text: the figures are of this one."""
    metric: str = "accuracy"
    """The headline of the latest version."""
    goal: str = "maximize"
    """The goal of the headline: maximize or minimize."""
    received: float | None = None
    """Unix time of the last label."""


@dataclass(frozen=True)
class _State:
    """The part of a checkpoint that is JSON."""

    keys: list[str]
    etags: list[str]
    sizes: list[int]
    """The number of hashes of each segment."""
    findings: Findings
    schema: int = SCHEMA


@dataclass(frozen=True)
class Checkpoint:
    """The segments that have been read, with hashes of the ids in each, and what they say."""

    etags: dict[str, str] = field(default_factory=dict)
    """Key → ETag of each segment."""
    sizes: list[int] = field(default_factory=list)
    hashes: Hashes = field(default_factory=lambda: _NONE)
    """The hashes of all segments, one after the other."""
    findings: Findings = field(default_factory=Findings)

    def is_part_of(self, listed: Mapping[str, str]) -> bool:
        """Returns whether all segments that were read are still there, unchanged."""
        return all(listed.get(key) == etag for key, etag in self.etags.items())

    def with_ids(self, wanted: Hashes) -> list[str]:
        """Returns the keys of the segments that have some of these ids."""
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)[np.isin(self.hashes, wanted)]
        keys = list(self.etags)
        return [keys[owner] for owner in np.unique(owners).tolist()]

    def ids(self, chosen: Iterable[str]) -> Hashes:
        """Returns the hashes of the ids in some of the segments."""
        wanted = set(chosen)
        flags = [key in wanted for key in self.etags]
        return np.unique(self.hashes[np.repeat(np.asarray(flags, bool), self.sizes)])

    def grown(self, new: Mapping[str, tuple[str, set[int]]], findings: Findings) -> Checkpoint:
        """Returns a checkpoint that has more segments.

        Args:
            new: Key → ETag, and the hashes of the ids in it.
            findings: What all segments say.
        """
        added = [np.fromiter(found, np.uint64, len(found)) for _, found in new.values()]
        etags = self.etags | {key: etag for key, (etag, _) in new.items()}
        sizes = [*self.sizes, *map(len, added)]
        return Checkpoint(etags, sizes, np.concatenate([self.hashes, *added]), findings)


def of_ids(ids: Iterable[str]) -> Hashes:
    """Returns the hashes of ids."""
    return np.unique(np.fromiter(map(stored.hash_of, ids), np.uint64))


def find(store: Store, names: Sequence[str]) -> Checkpoint:
    """Returns the checkpoint of a model; an empty one if there is none, or if it is damaged.

    Args:
        store: The ledger.
        names: All names of the model, today's first.

    Raises:
        StoreError: The ledger can't be read.
    """
    for name in names:
        found = store.find(_key(name))
        if found:
            return _read(found.body)
    return Checkpoint()


def keep(store: Store, names: Sequence[str], made: Checkpoint) -> None:
    """Stores a checkpoint. If two joins do so at once, either is right: each says what it has read.

    Raises:
        StoreError: The ledger can't be written.
    """
    state = _State(list(made.etags), list(made.etags.values()), made.sizes, made.findings)
    body = io.BytesIO()
    np.savez(body, state=np.frombuffer(zlib.compress(to_json(state)), np.uint8), hashes=made.hashes)
    store.put(_key(names[0]), body.getvalue())
    for former in names[1:]:
        store.delete(_key(former))


def _key(model: str) -> str:
    return f"joins/{spelling(model)}.npz"


def _read(body: bytes) -> Checkpoint:
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            state = from_json(_State, zlib.decompress(arrays["state"].tobytes()))
            hashes = arrays["hashes"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return Checkpoint()
    fits = len(state.keys) == len(state.etags) == len(state.sizes) and hashes.shape == (sum(state.sizes),)
    if state.schema != SCHEMA or not fits or hashes.dtype != np.uint64:
        return Checkpoint()
    return Checkpoint(dict(zip(state.keys, state.etags, strict=True)), state.sizes, hashes, state.findings)
