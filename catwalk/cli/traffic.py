"""Test traffic to a champion: its test examples at a chosen rate, counted by a monitor."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from catwalk.errors import CatwalkError
from catwalk.service import corruptions, reference
from catwalk.service.monitor import PredictionMonitor

if TYPE_CHECKING:
    from catwalk.service.corruptions import Corruption
    from catwalk.trainable import Arrays, Predictor

_PAUSE_SECONDS = 0.1
"""Minimum seconds between two batches."""
_MOST = 1_000
"""Maximum number of predictions in one batch, even for a model that can't keep up."""


@dataclass(frozen=True)
class Traffic:
    """The examples to send, and the predictor that answers."""

    predict: Predictor
    examples: Arrays
    """Test examples with their labels."""
    corruption: Corruption
    rate: float
    """Predictions per second."""

    def __post_init__(self) -> None:
        if corruptions.touches_pictures(self.corruption) and not self._pictures:
            raise CatwalkError(
                f"--corruption {self.corruption} needs images, and this model's input has none: try class-mix"
            )

    def drive(self, monitor: PredictionMonitor, stop: Event, seconds: float) -> int:
        """Sends requests until it is stopped, or for `seconds` (0: forever); returns the number of predictions."""
        random, began, made, passed = np.random.default_rng(), time.monotonic(), 0, 0.0
        last = seconds or math.inf
        while passed < last and not stop.wait(min(max(_PAUSE_SECONDS, 1 / self.rate), last - passed)):
            passed = time.monotonic() - began
            due = min(int(self.rate * min(passed, last)) - made, _MOST)
            if due > 0:
                self._ask(monitor, due, random)
                made += due
        return made

    def _ask(self, monitor: PredictionMonitor, count: int, random: np.random.Generator) -> None:
        chosen = corruptions.drawn(self.examples["labels"], count, self.corruption, random)
        batch = {name: values[chosen] for name, values in self.examples.items()}
        for name in self._pictures:
            batch[name] = corruptions.corrupted(batch[name], self.corruption, random)
        with monitor.predictions(reference.watched(batch)) as seen:
            seen.output = self.predict(batch)

    @property
    def _pictures(self) -> list[str]:
        return [name for name, values in self.examples.items() if values.ndim >= 3]
