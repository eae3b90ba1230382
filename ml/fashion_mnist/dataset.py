"""Fashion-MNIST as uint8 tensors: where it is found, and how it is split."""

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
    """Examples of one split, resident in memory."""

    images: Tensor
    """uint8 (n, 28, 28), 0 black to 255 white."""
    labels: Tensor
    """uint8 (n,), 0 to 9 (see :data:`ml.fashion_mnist.config.CLASSES`)."""

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Split:
        """A split from its two arrays, ``images`` and ``labels``, which are copied."""
        return cls(torch.tensor(arrays["images"]), torch.tensor(arrays["labels"]))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_counts(self) -> list[int]:
        """Examples of each class, in label order."""
        return torch.bincount(self.labels.long(), minlength=len(CLASSES)).tolist()


def read_splits(config: DataConfig) -> dict[str, Split]:
    """The three splits, read from disk.

    Train and validation are drawn from the 60,000 training images, class by class with the split's own seed; the test
    split is the published one. All three of a feed are of those 60,000 (see :mod:`ml.fashion_mnist.feed`).

    Raises:
        DatasetError: a file is missing, truncated or corrupt, or can't be read.
        DownloadError: it is not here, and could not be downloaded this time.
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
    """Images, uint8 (n, 28, 28), and labels, uint8 (n,)."""
    pixels, labels = (
        torch.frombuffer(bytearray(files[f"{name}-{kind}-ubyte"]), dtype=torch.uint8)
        for kind in ("images-idx3", "labels-idx1")
    )
    if int(labels.max()) >= len(CLASSES):
        raise DatasetError(f"a label of the {name} images is above {len(CLASSES) - 1}; get the file anew")
    return pixels.view(-1, 28, 28), labels


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
    """The folder whose ``FashionMNIST/raw`` holds the files: `CATWALK_DATASET_ROOT`, else ``data`` or a folder
    ``datasets`` near the checkout where they are there, else ``data``, where they are downloaded to.

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
    """Folders ``datasets`` beside the checkout, or one level further down, that hold the files. They may be anybody's:
    one that this user may not enter is passed over.
    """
    beside = PROJECT.parent
    for root in (beside / "datasets", *sorted(beside.glob("*/datasets"))):
        with suppress(DatasetError):
            if published.is_here(root):
                yield root


def stand_in_root() -> Path:
    """Where the synthetic images are kept."""
    return Path(os.environ.get("CATWALK_HOME") or PROJECT / ".catwalk") / "synthetic"


def _published_files() -> dict[str, bytes]:
    """The real files. Only the folder that is nobody else's is written to, and only what is missing there."""
    root = dataset_root()
    try:
        return read_files(root, published=True)
    except IncompleteError as error:
        if os.environ.get("CATWALK_DATASET_ROOT") or root != PROJECT / "data":
            raise DatasetError(f"{error}; put the published file there, plain or as .gz") from error
        log.info("%s: Fashion-MNIST is downloaded", error)
        published.download(root)
    return read_files(root, published=True)


def _synthetic_files() -> dict[str, bytes]:
    """The drawn files, kept where that is possible: drawing them takes seconds."""
    root = stand_in_root()
    try:
        return read_files(root, published=False)
    except DatasetError:
        drawn = synthetic.draw_files()
    try:
        synthetic.write_files(raw_folder(root), drawn)
    except OSError as error:
        log.warning(
            "%s can't be written to (%s): synthetic images are drawn anew for each run; set CATWALK_HOME to a "
            "folder that can",
            root,
            error.strerror,
        )
    return {name: body[len(published.FILES[name][0]) :] for name, body in drawn.items()}


def statistics(images: Tensor) -> dict[str, float]:
    """Mean and standard deviation of the pixels, 0 to 1, of images that are uint8 of any shape."""
    shades = torch.arange(256, dtype=torch.float64) / 255
    shares = torch.bincount(images.flatten(), minlength=256).double() / images.numel()
    mean = float((shares * shades).sum())
    return {"pixel_mean": mean, "pixel_stddev": float((shares * (shades - mean) ** 2).sum().sqrt())}
