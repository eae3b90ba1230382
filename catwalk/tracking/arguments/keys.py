"""Keys of test examples that are the same in every run of a model, and don't reveal the examples."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError, PreconditionFailedError, shown
from catwalk.problems import arrays
from catwalk.problems.answers import Keys
from catwalk.storage.store import Store

_DIGEST_BYTES = 8


def salt_key(model: str) -> str:
    """The key of a model's salt in the store."""
    return f"salts/{model}"


def salt(store: Store, model: str) -> bytes:
    """A model's own salt, created once: only with it can a digest be matched with its key."""
    key = salt_key(model)
    with suppress(PreconditionFailedError):
        store.put(key, secrets.token_bytes(16), create=True)
    return store.get(key).body


def of_keys(given: Any, rows: int, salt: bytes) -> Keys:
    """A digest of each key, (n,).

    Raises:
        InputError: Their number is wrong, one is missing, or one appears twice.
    """
    expected = f"a unique key for each label, shape ({rows},)"
    found = arrays.column("keys", given, expected, rows)
    named = arrays.texts(found)
    if None in named:
        raise InputError(f"keys: expected {expected}; got none in row {named.index(None)}")
    texts = [text for text in named if text is not None]
    if len(set(texts)) < rows:
        seen: set[str] = set()
        twice = next(text for text in texts if text in seen or seen.add(text))  # type: ignore[func-returns-value]
        raise InputError(f"keys: expected {expected}; got {shown(twice)} more than once")
    return _digests([text.encode("utf-8", "surrogatepass") for text in texts], salt)


def of_inputs(given: Any, rows: int, salt: bytes) -> Keys:
    """A digest of each example's input; equal inputs are distinguished by their order.

    Raises:
        InputError: The number of rows is wrong.
    """
    expected = f"the model's inputs, {rows} rows"
    found = arrays.array("inputs", given, expected)
    if len(found) != rows:
        raise arrays.wrong("inputs", expected, found)
    times: dict[bytes, int] = {}
    named = []
    for body in map(_row, found):
        digest = hashlib.blake2b(body, digest_size=16).digest()
        times[digest] = times.get(digest, 0) + 1
        named.append(digest + times[digest].to_bytes(8, "big"))
    return _digests(named, salt)


def _row(row: Any) -> bytes:
    if isinstance(row, np.ndarray) and row.dtype != object:
        return np.ascontiguousarray(row).tobytes()
    values = row.tolist() if isinstance(row, np.ndarray | np.generic) else row
    return repr(values).encode("utf-8", "surrogatepass")


def of_test_set(name: str, labels: NDArray[Any], salt: bytes) -> Keys:
    """A digest of each example's place in a test set: the same if the set's name, size and labels are."""
    whole = hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()
    return _digests([f"{name}\0{len(labels)}\0{whole}\0{row}".encode() for row in range(len(labels))], salt)


def _digests(named: list[bytes], salt: bytes) -> Keys:
    joined = b"".join(hashlib.blake2b(one, digest_size=_DIGEST_BYTES, key=salt).digest() for one in named)
    return np.frombuffer(joined, dtype=np.uint64)
