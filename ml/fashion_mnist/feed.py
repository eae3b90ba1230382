"""The training images of Fashion-MNIST as a feed: they arrive by day, and change from some day on.

Everything about an example follows from its key, a digest of its picture: whether it is reserved for tests, for
validation or for training, and on which day it arrives. Its appearance follows from that day. So the same `as_of` gives
the same bytes on every machine, a later one contains all earlier training examples, and test examples are never used
for training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catwalk.errors import DatasetError
from ml.fashion_mnist import drifts
from ml.fashion_mnist.config import CLASSES, DataConfig
from ml.fashion_mnist.drifts import FAVOURED, Drift

Arrays = dict[str, NDArray[Any]]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

TEST_SHARE = 0.2
"""The share of all examples that are reserved for tests, whatever the settings."""
TEST_EXAMPLES = 6_000
"""The test split consists of this many of the newest of them: enough to find two equally good models within half a
point of each other. About as many exist on the first day.
"""
BACKLOG = 0.5
"""The share of all examples that exist on the first day."""


def arrived(images: Bytes, labels: Bytes, config: DataConfig) -> dict[str, Arrays]:
    """Returns the splits train, validation and test as of a day, each with ``images`` and ``labels``.

    Args:
        images: All images that ever arrive, (n, 28, 28).
        labels: Their classes, (n,).
        config: The configuration of a feed, with the day.

    Raises:
        DatasetError: no day is given, or a split has no example by then.
    """
    if not config.as_of:
        raise DatasetError("the feed has no as_of; set it to the day up to which the feed is read, such as 2026-11-25")
    keys = Keys.of(images)
    today, day = day_number(config.as_of, config), keys.days(config)
    comes = coming(keys, labels, day, config)
    learnt = comes & (day <= today - config.gap_days) & ~keys.test
    place = keys.places(config.split_seed) * len(labels) * (1 - TEST_SHARE)
    held_back = place < config.validation_examples
    wanted = place < config.validation_examples + config.train_examples
    chosen = {
        "train": learnt & ~held_back & wanted,
        "validation": learnt & held_back,
        "test": newest(comes & (day <= today) & keys.test, keys.arrival),
    }
    for name, rows in chosen.items():
        if not rows.any():
            raise DatasetError(f"as of {config.as_of} the feed has no {name} example yet; use a later as_of")
    return {
        name: drifted(images[rows], labels[rows], day[rows], keys.noise[rows], config) for name, rows in chosen.items()
    }


@dataclass(frozen=True, eq=False)
class Keys:
    """The keys of examples, and numbers from 0 to 1 that depend only on the key, (n,) each."""

    digests: list[bytes]
    role: Floats
    arrival: Floats
    chance: Floats
    noise: Floats

    @classmethod
    def of(cls, images: Bytes) -> Keys:
        """Returns the keys of pictures, (n, 28, 28)."""
        digests = [hashlib.blake2b(row.tobytes(), digest_size=32).digest() for row in images]
        return cls(digests, *_numbers(b"".join(digests), 4))

    @property
    def test(self) -> Rows:
        """The examples that are reserved for tests."""
        return self.role < TEST_SHARE

    def places(self, seed: int) -> Floats:
        """Returns other numbers, by which train and validation are drawn."""
        salt = seed.to_bytes(8, "little")
        return _numbers(b"".join(hashlib.blake2b(key, digest_size=8, key=salt).digest() for key in self.digests), 1)[0]

    def days(self, config: DataConfig) -> NDArray[np.int64]:
        """Returns the day on which each arrives, 0 for the feed's first."""
        later = (self.arrival - BACKLOG) / (1 - BACKLOG) * config.feed_days
        return np.ceil(later).clip(0).astype(np.int64)


def _numbers(digests: bytes, columns: int) -> list[Floats]:
    """Returns 53 bits of each 8 bytes, as numbers from 0 to 1."""
    words = np.frombuffer(digests, dtype="<u8").reshape(-1, columns)
    return list((words >> np.uint64(11)).astype(np.float64).T / 2**53)


def day_number(day: str, config: DataConfig) -> int:
    """Returns a day's number, 0 for the feed's first."""
    return (date.fromisoformat(day) - date.fromisoformat(config.feed_start)).days


def _eras(day: NDArray[np.int64], config: DataConfig) -> Iterator[tuple[Drift, Rows]]:
    """Yields each drift of the schedule, and the examples that arrive while it lasts."""
    found = drifts.schedule(config.drifts)
    ends = [*(day_number(drift.day.isoformat(), config) for drift in found), np.inf]
    for drift, (first, end) in zip(found, pairwise(ends), strict=True):
        yield drift, (day >= first) & (day < end)


def coming(keys: Keys, labels: Bytes, day: NDArray[np.int64], config: DataConfig) -> Rows:
    """Returns whether each example ever arrives: a class mix leaves out most examples of the other classes."""
    comes = np.ones(len(labels), dtype=bool)
    for drift, rows in _eras(day, config):
        if drift.kind == "class-mix":
            comes &= ~rows | (labels == FAVOURED) | (keys.chance < 1 / drift.strength)
    return comes


def newest(rows: Rows, arrival: Floats) -> Rows:
    """Returns the examples that arrived last."""
    found = np.flatnonzero(rows)
    chosen = np.zeros_like(rows)
    chosen[found[np.argsort(arrival[found], kind="stable")[-TEST_EXAMPLES:]]] = True
    return chosen


def drifted(images: Bytes, labels: Bytes, day: NDArray[np.int64], noise: Floats, config: DataConfig) -> Arrays:
    """Returns the examples as they look when they arrive."""
    for drift, rows in _eras(day, config):
        if drift.kind == "label-noise":
            wrong = rows & (noise < drift.strength)
            labels[wrong] = (labels[wrong] + 1 + noise[wrong] / drift.strength * (len(CLASSES) - 1)) % len(CLASSES)
        elif drift.kind in ("brightness", "rotation"):
            images[rows] = changed(images[rows], drift)
    return {"images": images, "labels": labels}


def changed(images: Bytes, drift: Drift) -> Bytes:
    """Returns pictures, (n, 28, 28), changed by a drift of their appearance."""
    if drift.kind == "brightness":
        return np.asarray(np.rint(images * drift.strength).clip(0, 255), dtype=np.uint8)
    turned = [np.asarray(Image.fromarray(one).rotate(drift.strength, Image.Resampling.BILINEAR)) for one in images]
    return np.stack(turned) if turned else images
