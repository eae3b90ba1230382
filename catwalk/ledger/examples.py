"""Which training examples a dataset holds, as a digest each: what tells whether data is newer than other data.

The digests lie beside the dataset, so that a decision need not read the images of both models. A dataset that an older
version has stored has none; there they are computed from its images.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from catwalk.errors import ArtifactError
from catwalk.ledger.records import DatasetRecord
from catwalk.storage.store import Store

_DIGEST_BYTES = 16


def digests(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """A digest of each distinct example, sorted: the same image with another label is another example.

    Args:
        images: shape (n, 28, 28).
        labels: shape (n,).
    """
    rows = np.concatenate([labels.reshape(-1, 1), images.reshape(len(labels), -1)], axis=1)
    return b"".join(sorted({hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in rows}))


def digests_key(dataset_sha256: str) -> str:
    """Where the digests of a dataset's training examples live."""
    return f"datasets/{dataset_sha256}/train.digests"


def training_examples(store: Store, record: DatasetRecord) -> set[bytes]:
    """The digests of a dataset's training examples.

    Raises:
        ArtifactError: neither digests nor images are in the store as they were recorded.
    """
    stored = store.find(digests_key(record.sha256)) if record.digests_sha256 else None
    if stored and hashlib.sha256(stored.body).hexdigest() == record.digests_sha256:
        body = stored.body
    else:
        arrays = load(split_body(store, record, "train"))
        body = digests(arrays["images"], arrays["labels"])
    return {body[start : start + _DIGEST_BYTES] for start in range(0, len(body), _DIGEST_BYTES)}


def split_body(store: Store, record: DatasetRecord, split: str) -> bytes:
    """A stored split as safetensors bytes: ``images``, uint8 (n, 28, 28), and ``labels``, uint8 (n,).

    Raises:
        ArtifactError: it is missing, or not what its hash says.
    """
    key = f"datasets/{record.sha256}/{split}.safetensors"
    stored = store.find(key)
    if stored is None:
        raise ArtifactError(f"{key} is missing from the store; a new run stores it again")
    if hashlib.sha256(stored.body).hexdigest() != record.files.get(split):
        raise ArtifactError(f"{key} is not what its sha256 says; delete datasets/{record.sha256}/ and start a new run")
    return stored.body
