"""A dataset's content-addressed copy in the store: a safetensors file per split, its examples' digests, a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load, save

from catwalk.errors import DatasetError, PreconditionFailedError
from catwalk.ledger.examples import digests, digests_key, split_body
from catwalk.ledger.records.dataset import DatasetRecord, SplitStatistics, moment
from catwalk.storage.store import Store
from catwalk.trainable import Data

if TYPE_CHECKING:
    from catwalk.trainable import Arrays

SPLITS = ("train", "validation", "test")


def store_data(store: Store, data: Data, classes: Sequence[str], synthetic: bool) -> DatasetRecord:
    """Uploads the splits under their content hash, except those that exist already; the manifest comes last.

    Args:
        store: The store for datasets.
        data: All three splits.
        classes: Class names in label order.
        synthetic: As in the record.

    Raises:
        DatasetError: A split is missing, empty or of uneven length, or has a label without a class; or `as_of` is not a
            time.
    """
    _check_moment(data.as_of)
    counts = {name: _class_counts(data, name, len(classes)) for name in SPLITS}
    known = digests(data.splits["train"])
    bodies = {name: save(dict(data.splits[name])) for name in SPLITS}
    files = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    identity = json.dumps({**data.details, "files": files, "source": data.source}, sort_keys=True)
    record = DatasetRecord(
        sha256=hashlib.sha256(identity.encode()).hexdigest(),
        classes=list(classes),
        source=data.source,
        synthetic=synthetic,
        statistics=dict(data.statistics),
        splits={name: SplitStatistics(sum(of_classes), of_classes) for name, of_classes in counts.items()},
        files=files,
        as_of=data.as_of,
        digests_sha256=hashlib.sha256(known).hexdigest(),
    )
    folder = f"datasets/{record.sha256}"
    for name, body in bodies.items():
        _put_once(store, f"{folder}/{name}.safetensors", body)
    _put_once(store, digests_key(record.sha256), known)
    if not store.exists(f"{folder}/manifest.json"):
        store.put_record(f"{folder}/manifest.json", record)
    return record


def _check_moment(as_of: str) -> None:
    try:
        if as_of != "":
            moment(as_of)
    except (TypeError, ValueError):
        raise DatasetError(f"as_of must be a date or time as text, such as '2026-11-25', not {as_of!r:.100}") from None


def _class_counts(data: Data, name: str, classes: int) -> list[int]:
    """Examples of each class, in label order."""
    arrays = data.splits.get(name, {})
    labels = arrays.get("labels")
    if labels is None or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise DatasetError(f"the {name} split has no labels: it needs an array of integers, one per example")
    for other, values in arrays.items():
        if not values.ndim or len(values) != len(labels):
            raise DatasetError(f"{other} of the {name} split has shape {values.shape}, for {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(f"the {name} split has labels from {labels.min()} to {labels.max()}, for {classes} classes")
    return [int(count) for count in np.bincount(labels, minlength=classes)]


def _put_once(store: Store, key: str, body: bytes) -> None:
    if store.exists(key):
        return
    try:
        store.put(key, body, create=True)
    except PreconditionFailedError:
        return  # another run is uploading the same dataset; every load checks the hash


def load_split(store: Store, record: DatasetRecord, name: str) -> Arrays:
    """Reads one split from the store.

    Raises:
        ArtifactError: It is missing, or doesn't match its hash.
    """
    return load(split_body(store, record, name))
