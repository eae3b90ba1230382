"""Digests of the training examples in a dataset, which show whether one dataset is newer than another.

The digests are stored beside the dataset, so that a decision doesn't need to read the examples of both models. For a
dataset that an older version stored without digests, they are computed from its examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from catwalk.errors import ArtifactError
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.storage.store import Store

_DIGEST_BYTES = 16


def digests(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A digest of each distinct example, sorted: the same input with another label is another example.

    Args:
        arrays: A split: ``labels``, shape (n,), and inputs of n rows each.
    """
    return b"".join(sorted(set(row_digests(arrays))))


def row_digests(arrays: Mapping[str, NDArray[Any]]) -> list[bytes]:
    """The digest of each example, row by row."""
    columns = [arrays["labels"], *(values for name, values in sorted(arrays.items()) if name != "labels")]
    rows = np.concatenate([_row_bytes(column) for column in columns], axis=1)
    return [hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in rows]


def _row_bytes(column: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(column).reshape(len(column), -1).view(np.uint8)


def digests_key(dataset_sha256: str) -> str:
    """The key of the digests of a dataset's training examples."""
    return f"datasets/{dataset_sha256}/train.digests"


def training_examples(store: Store, record: DatasetRecord) -> set[bytes]:
    """The digests of a dataset's training examples.

    Raises:
        ArtifactError: Neither the digests nor the examples in the store match their recorded hash.
    """
    stored = store.find(digests_key(record.sha256)) if record.digests_sha256 else None
    if stored and hashlib.sha256(stored.body).hexdigest() == record.digests_sha256:
        body = stored.body
    else:
        body = digests(load(split_body(store, record, "train")))
    return {body[start : start + _DIGEST_BYTES] for start in range(0, len(body), _DIGEST_BYTES)}


def split_body(store: Store, record: DatasetRecord, split: str) -> bytes:
    """A stored split as safetensors bytes: ``labels``, shape (n,), and inputs of n rows each.

    Raises:
        ArtifactError: It is missing, or doesn't match its hash.
    """
    key = f"datasets/{record.sha256}/{split}.safetensors"
    stored = store.find(key)
    if stored is None:
        raise ArtifactError(f"{key} is missing from the store; a new run stores it again")
    if hashlib.sha256(stored.body).hexdigest() != record.files.get(split):
        raise ArtifactError(f"{key} doesn't match its sha256; delete datasets/{record.sha256}/ and start a new run")
    return stored.body
