"""Fashion-MNIST as uint8 tensors: where it is found, how it is split, and its content-addressed copy in S3.

To train on other data, change this module and :mod:`ml.network`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ml.config import CLASSES, DataConfig
from ml.errors import ArtifactError, DatasetError, NotFoundError, PreconditionFailedError
from ml.garments import write_stand_in
from ml.records import DatasetRecord, SplitStatistics
from ml.store import Store

PROJECT = Path(__file__).resolve().parent.parent
SPLITS = ("train", "validation", "test")
_FILES = {
    # name: (bytes, MD5 of the published file, uncompressed)
    "train-images-idx3-ubyte": (47_040_016, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    "train-labels-idx1-ubyte": (60_008, "9018921c3c673c538a1fc5bad174d6f9"),
    "t10k-images-idx3-ubyte": (7_840_016, "8181f5470baa50b63fa0f6fddb340f0a"),
    "t10k-labels-idx1-ubyte": (10_008, "15d484375f8d13e6eb1aabb0c3f46965"),
}
_DOWNLOAD_TIMEOUT = 60.0


@dataclass(frozen=True)
class Split:
    """Examples of one split, resident in memory."""

    images: Tensor
    """uint8 (n, 28, 28), 0 black to 255 white."""
    labels: Tensor
    """uint8 (n,), 0 to 9 (see :data:`ml.config.CLASSES`)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_counts(self) -> list[int]:
        """Examples of each class, in label order."""
        return torch.bincount(self.labels.long(), minlength=len(CLASSES)).tolist()


def read_splits(config: DataConfig) -> dict[str, Split]:
    """The three splits, read from disk.

    Train and validation are drawn from the 60,000 training images, class by class with the split's own seed; the test
    split is the published one.

    Raises:
        DatasetError: a file is missing, truncated or corrupt, or can't be downloaded.
    """
    from torchvision.datasets import FashionMNIST  # takes seconds to import, and only ingest needs it

    root = stand_in_root() if config.source == "synthetic" else dataset_root()
    if config.source == "synthetic":
        write_stand_in(root)
    elif root == PROJECT / "data":
        _download(root)
    _verify(root / "FashionMNIST" / "raw", published=config.source == "fashion-mnist")
    published = [FashionMNIST(str(root), train=train) for train in (True, False)]
    images, labels = published[0].data, published[0].targets.to(torch.uint8)
    if int(labels.max()) >= len(CLASSES):
        raise DatasetError(f"{root} holds a label above {len(CLASSES) - 1}; delete the files and start again")
    train, validation = stratified(labels, config)
    return {
        "train": Split(images[train].contiguous(), labels[train]),
        "validation": Split(images[validation].contiguous(), labels[validation]),
        "test": Split(published[1].data, published[1].targets.to(torch.uint8)),
    }


def stratified(labels: Tensor, config: DataConfig) -> tuple[Tensor, Tensor]:
    """Indices of the train and of the validation examples, ascending and disjoint, equally many of each class.

    Raises:
        DatasetError: a class has too few examples.
    """
    generator = torch.Generator().manual_seed(config.split_seed)
    per_class = config.train_examples // len(CLASSES), config.validation_examples // len(CLASSES)
    train, validation = [], []
    for label, name in enumerate(CLASSES):
        indices = torch.nonzero(labels == label).flatten()
        if len(indices) < sum(per_class):
            raise DatasetError(
                f"class {name} has {len(indices)} examples, but {sum(per_class)} are asked for; lower train_examples"
            )
        shuffled = indices[torch.randperm(len(indices), generator=generator)]
        validation.append(shuffled[: per_class[1]])
        train.append(shuffled[per_class[1] : sum(per_class)])
    return torch.cat(train).sort().values, torch.cat(validation).sort().values


def dataset_root() -> Path:
    """The folder whose ``FashionMNIST/raw`` holds the files: `CATWALK_DATASET_ROOT`, else ``data``, else
    ``../shared/datasets``, else ``data``, where torchvision downloads them.

    Raises:
        DatasetError: `CATWALK_DATASET_ROOT` is set, but has no such folder.
    """
    configured = os.environ.get("CATWALK_DATASET_ROOT")
    if configured:
        if not (Path(configured) / "FashionMNIST" / "raw").is_dir():
            raise DatasetError(f"CATWALK_DATASET_ROOT={configured} has no folder FashionMNIST/raw; correct or unset it")
        return Path(configured)
    candidates = (PROJECT / "data", PROJECT.parent / "shared" / "datasets")
    return next((root for root in candidates if (root / "FashionMNIST" / "raw").is_dir()), candidates[0])


def stand_in_root() -> Path:
    """Where the drawn stand-in garments are kept."""
    return Path(os.environ.get("CATWALK_HOME") or PROJECT / ".catwalk") / "synthetic"


def _download(root: Path) -> None:
    """Lets torchvision fetch what is not there yet; two runs at once wait for each other."""
    from torchvision.datasets import FashionMNIST

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        root.mkdir(exist_ok=True)
        with (root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            FashionMNIST(str(root), download=True)
    except (RuntimeError, URLError, OSError) as error:
        raise DatasetError(
            f"Fashion-MNIST is not here and can't be downloaded ({type(error).__name__}); put its four IDX files "
            f"into {root / 'FashionMNIST' / 'raw'}, or set CATWALK_DATASET_ROOT to the folder above FashionMNIST/raw"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _verify(raw: Path, *, published: bool) -> None:
    """Sizes always, checksums for the published files: torchvision itself checks neither once extracted."""
    for name, (size, md5) in _FILES.items():
        path = raw / name
        remedy = "delete the folder, and the next run gets the files anew"
        if not path.is_file():
            raise DatasetError(f"{path} is missing; {remedy}")
        try:
            if path.stat().st_size != size:
                raise DatasetError(
                    f"{path} is truncated or another file: {path.stat().st_size:,} bytes, not {size:,}; {remedy}"
                )
            if published and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
                raise DatasetError(f"{path} is corrupt: its MD5 is not {md5}; {remedy}")
        except OSError as error:
            raise DatasetError(f"{path} can't be read: {error.strerror}") from error


def store_dataset(store: Store, config: DataConfig, splits: dict[str, Split]) -> DatasetRecord:
    """Uploads the splits under their content hash, skipping what is there already; the manifest comes last."""
    bodies = {name: save({"images": split.images, "labels": split.labels}) for name, split in splits.items()}
    files = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    identity = json.dumps({"files": files, "source": config.source, "split_seed": config.split_seed}, sort_keys=True)
    shades = torch.arange(256, dtype=torch.float64) / 255
    shares = torch.bincount(splits["train"].images.flatten(), minlength=256).double() / splits["train"].images.numel()
    mean = float((shares * shades).sum())
    record = DatasetRecord(
        sha256=hashlib.sha256(identity.encode()).hexdigest(),
        source=config.source,
        synthetic=config.source == "synthetic",
        pixel_mean=mean,
        pixel_stddev=float((shares * (shades - mean) ** 2).sum().sqrt()),
        splits={name: SplitStatistics(len(split), split.class_counts) for name, split in splits.items()},
        files=files,
    )
    folder = f"datasets/{record.sha256}"
    if store.exists(f"{folder}/manifest.json"):
        return record
    for name, body in bodies.items():
        _put_once(store, f"{folder}/{name}.safetensors", body)
    store.put_record(f"{folder}/manifest.json", record)
    return record


def _put_once(store: Store, key: str, body: bytes) -> None:
    if store.exists(key):
        return
    try:
        store.put(key, body, create=True)
    except PreconditionFailedError:
        return  # another run uploads the same dataset; the hash is checked at every load


def load_split(store: Store, record: DatasetRecord, name: str) -> Split:
    """Reads one split from S3.

    Raises:
        ArtifactError: it is missing, or not what its hash says.
    """
    key = f"datasets/{record.sha256}/{name}.safetensors"
    try:
        body = store.get(key).body
    except NotFoundError as error:
        raise ArtifactError(f"{key} is missing from the store; run ingest again in a new run") from error
    if hashlib.sha256(body).hexdigest() != record.files[name]:
        raise ArtifactError(f"{key} is not what its sha256 says; delete datasets/{record.sha256}/ and start a new run")
    try:
        tensors = load(body)
    except SafetensorError as error:  # pragma: no cover - the hash was right, so a writer was wrong
        raise ArtifactError(f"{key} is no safetensors file: {error}") from error
    return Split(tensors["images"], tensors["labels"])
