"""Fashion-MNIST as uint8 tensors: finds it, and splits it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from catwalk.errors import DatasetError
from ml.fashion_mnist import feed, published, synthetic
from ml.fashion_mnist.config import CLASSES, DataConfig
from ml.fashion_mnist.published import IncompleteError, raw_folder, read_files

log = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Split:
    """The examples of one split, in memory."""

    images: Tensor
    """uint8 (n, 28, 28), 0 black to 255 white."""
    labels: Tensor
    """uint8 (n,), 0 to 9 (see :data:`ml.fashion_mnist.config.CLASSES`)."""

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Split:
        """Returns a split from its two arrays, ``images`` and ``labels``, which are copied."""
        return cls(torch.tensor(arrays["images"]), torch.tensor(arrays["labels"]))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_counts(self) -> list[int]:
        """The number of examples of each class, in label order."""
        return torch.bincount(self.labels.long(), minlength=len(CLASSES)).tolist()


def read_splits(config: DataConfig) -> dict[str, Split]:
    """Reads the three splits from disk.

    Train and validation are drawn from the 60,000 training images, class by class with the split's own seed; the test
    split is the published one. In a feed, all three come from those 60,000 (see :mod:`ml.fashion_mnist.feed`).

    Raises:
        DatasetError: a file is missing, truncated or corrupt, or can't be read.
        DownloadError: it is missing, and could not be downloaded this time.
    """
    files = _synthetic_files() if config.synthetic else _published_files()
    images, labels = _tensors(files, "train")
    if config.comes_by_day:
        found = feed.arrived(images.numpy(), labels.numpy(), config)
        return {name: Split.of(arrays) for name, arrays in found.items()}
    train, validation = stratified(labels, config)
    return {
        "train": Split(images[train].contiguous(), labels[train]),
        "validation": Split(images[validation].contiguous(), labels[validation]),
        "test": Split(*_tensors(files, "t10k")),
    }


def _tensors(files: dict[str, bytes], name: str) -> tuple[Tensor, Tensor]:
    """Returns images, uint8 (n, 28, 28), and labels, uint8 (n,)."""
    pixels, labels = (
        torch.frombuffer(bytearray(files[f"{name}-{kind}-ubyte"]), dtype=torch.uint8)
        for kind in ("images-idx3", "labels-idx1")
    )
    if int(labels.max()) >= len(CLASSES):
        raise DatasetError(f"a label of the {name} images is above {len(CLASSES) - 1}; download the file again")
    return pixels.view(-1, 28, 28), labels


def stratified(labels: Tensor, config: DataConfig) -> tuple[Tensor, Tensor]:
    """Returns the indices of the train and of the validation examples, ascending and disjoint, the same number of each
    class.

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
                f"class {name} has {len(indices)} examples, but {sum(per_class)} are needed; lower train_examples"
            )
        shuffled = indices[torch.randperm(len(indices), generator=generator)]
        validation.append(shuffled[: per_class[1]])
        train.append(shuffled[per_class[1] : sum(per_class)])
    return torch.cat(train).sort().values, torch.cat(validation).sort().values


def dataset_root() -> Path:
    """Returns the folder whose ``FashionMNIST/raw`` contains the files: `CATWALK_DATASET_ROOT`; otherwise ``data`` or a
    folder ``datasets`` near the checkout, if it has them; otherwise ``data``, into which they are downloaded.

    Raises:
        DatasetError: `CATWALK_DATASET_ROOT` is set, but has no such folder; or a folder may not be entered.
    """
    configured = os.environ.get("CATWALK_DATASET_ROOT")
    if configured:
        if not published.has_folder(Path(configured)):
            raise DatasetError(f"CATWALK_DATASET_ROOT={configured} has no folder FashionMNIST/raw; correct or unset it")
        return Path(configured)
    own = PROJECT / "data"
    return own if published.is_here(own) else next(_neighbours(), own)


def _neighbours() -> Iterator[Path]:
    """Yields folders ``datasets`` beside the checkout, or one level further down, that contain the files. They may
    belong to anyone: a folder that this user may not enter is skipped.
    """
    beside = PROJECT.parent
    for root in (beside / "datasets", *sorted(beside.glob("*/datasets"))):
        with suppress(DatasetError):
            if published.is_here(root):
                yield root


def stand_in_root() -> Path:
    """Returns the folder of the synthetic images."""
    return Path(os.environ.get("CATWALK_HOME") or PROJECT / ".catwalk") / "synthetic"


def _published_files() -> dict[str, bytes]:
    """Reads the real files. Only our own folder is written to, and only missing files."""
    root = dataset_root()
    try:
        return read_files(root, published=True)
    except IncompleteError as error:
        if os.environ.get("CATWALK_DATASET_ROOT") or root != PROJECT / "data":
            raise DatasetError(f"{error}; put the published file there, plain or as .gz") from error
        log.info("%s: downloading Fashion-MNIST", error)
        published.download(root)
    return read_files(root, published=True)


def _synthetic_files() -> dict[str, bytes]:
    """Returns the drawn files, and stores them if possible, because drawing them takes seconds."""
    root = stand_in_root()
    try:
        return read_files(root, published=False)
    except DatasetError:
        drawn = synthetic.draw_files()
    try:
        synthetic.write_files(raw_folder(root), drawn)
    except OSError as error:
        log.warning(
            "can't write to %s (%s): synthetic images are drawn again for each run; set CATWALK_HOME to a "
            "writable folder",
            root,
            error.strerror,
        )
    return {name: body[len(published.FILES[name][0]) :] for name, body in drawn.items()}


def statistics(images: Tensor) -> dict[str, float]:
    """Returns mean and standard deviation of the pixels, 0 to 1, of uint8 images of any shape."""
    shades = torch.arange(256, dtype=torch.float64) / 255
    shares = torch.bincount(images.flatten(), minlength=256).double() / images.numel()
    mean = float((shares * shades).sum())
    return {"pixel_mean": mean, "pixel_stddev": float((shares * (shades - mean) ** 2).sum().sqrt())}
