"""The classifier that comes with Catwalk, slowed down: an epoch takes at least a second, most of it without computing.

So a test can interrupt it, however busy the machine is, and it takes no time from the tests beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from catwalk.ledger.records.training import EpochRecord
from catwalk.trainable import Data, Fit
from ml.fashion_mnist.classifier import Classifier
from ml.fashion_mnist.config import RunConfig

EPOCH_SECONDS = 1.0


class SlowFit:
    """A fit that waits after each epoch, and stops as readily as ever."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fit, name)

    def epochs(self, done: int, check: Callable[[], None]) -> Iterator[EpochRecord]:
        """Runs the original fit at this pace."""
        for record in self._fit.epochs(done, check):
            yield record
            until = time.monotonic() + EPOCH_SECONDS
            while time.monotonic() < until:
                check()
                time.sleep(0.05)


class SlowClassifier(Classifier):
    """Trains to the same bits."""

    reference = "tests.models.slow:CLASSIFIER"

    def start(self, config: RunConfig, seed: int, data: Data) -> Fit:
        """Fresh weights from the seed."""
        return cast(Fit, SlowFit(super().start(config, seed, data)))


CLASSIFIER = SlowClassifier()
