"""A Trainable whose settings, classes, inputs and file format have nothing in common with those of Fashion-MNIST."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from catwalk.errors import ArtifactError
from catwalk.gate.config import GateConfig
from catwalk.knobs import Config, Section, number, setting
from catwalk.ledger.records.training import EpochRecord
from catwalk.problems.multiclass import Multiclass
from catwalk.trainable import Data, Plan

SIDE = 8
NAMES = ("bar", "blob", "cross")


@dataclass(frozen=True)
class Pictures(Section):
    """Which pictures are generated."""

    learned: int = number(240, 30, 10_000, helps="memory", varies=True)
    """Pictures to train on."""
    tested: int = number(150, 30, 10_000)
    """Pictures to measure with, in validation and test each."""
    grain: float = number(0.5, 0.0, 10.0)
    """Noise on each pixel, as a standard deviation."""
    draw_seed: int = number(3, 0, 2**32 - 1)
    """Seed of the pictures."""


@dataclass(frozen=True)
class Descent(Section):
    """How the weights are found."""

    rounds: int = number(4, 1, 50)
    """Passes over the pictures."""
    step: float = number(0.5, 0.0, 1e308, above=True, helps="divergence")
    """Size of a gradient step."""
    order: Literal["shuffled", "drawn"] = setting("shuffled")
    """Whether the pictures come in another order in each round."""
    pause: float = number(0.0, 0.0, 60.0)
    """Seconds that a round takes at least, so that a test can interrupt it."""


@dataclass(frozen=True)
class Settings(Config):
    """The whole configuration of a run."""

    data: Pictures = field(default_factory=Pictures)
    descent: Descent = field(default_factory=Descent)
    gate: GateConfig = field(default_factory=GateConfig)


class Shapes:
    """See :class:`catwalk.trainable.Trainable`."""

    reference = "tests.models.shapes:SHAPES"
    problem = Multiclass(NAMES)
    config = Settings

    def plan(self, config: Settings) -> Plan:
        return Plan("shapes", config.descent.rounds, synthetic=True, checkpoint_seconds=0.0)

    def load(self, config: Settings) -> Data:
        import numpy as np

        sizes = {"train": config.data.learned, "validation": config.data.tested, "test": config.data.tested}
        splits = {
            name: _drawn(np.random.default_rng([config.data.draw_seed, number]), size, config.data.grain)
            for number, (name, size) in enumerate(sizes.items())
        }
        ink = float(splits["train"]["pixels"].mean() / 255)
        return Data(splits, {"ink": ink}, "drawn shapes", {"draw_seed": config.data.draw_seed})

    def start(self, config: Settings, seed: int, data: Data) -> Regression:
        return Regression(config, seed, data)

    def predictor(self, config: Settings, model: bytes) -> Callable[[Any], Any]:
        weights = _weights(model)
        return lambda inputs: _features(inputs["pixels"]) @ weights

    def preview(self, inputs: Any) -> Any:
        return inputs["pixels"]


SHAPES = Shapes()


class Regression:
    """See :class:`catwalk.trainable.Fit`."""

    parameters = (SIDE * SIDE + 1) * len(NAMES)
    fingerprint = {"device": "cpu", "library": "numpy"}  # noqa: RUF012

    def __init__(self, config: Settings, seed: int, data: Data) -> None:
        import numpy as np

        self._config, self._seed, self._data = config, seed, data
        self._weights = np.random.default_rng(seed).normal(scale=0.01, size=(SIDE * SIDE + 1, len(NAMES)))

    def epochs(self, done: int, check: Callable[[], None]) -> Iterator[EpochRecord]:
        train, validation = self._data.splits["train"], self._data.splits["validation"]
        for epoch in range(done + 1, self._config.descent.rounds + 1):
            started = time.perf_counter()
            norm = self._round(epoch, _features(train["pixels"]), train["labels"], check)
            while time.perf_counter() - started < self._config.descent.pause:
                check()
                time.sleep(0.01)
            seconds = time.perf_counter() - started
            (train_loss, train_accuracy, _), (loss, accuracy, recall) = map(self._measured, (train, validation))
            yield EpochRecord(
                epoch=epoch,
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                validation_loss=loss,
                validation_accuracy=accuracy,
                class_accuracy=recall,
                learning_rate=self._config.descent.step,
                gradient_norm=norm,
                duration_seconds=seconds,
                examples_per_second=len(train["labels"]) / seconds,
                finished=time.time(),
            )

    def _round(self, epoch: int, features: Any, labels: Any, check: Callable[[], None]) -> float:
        """Makes one pass in batches of ten; returns the mean norm of its gradients."""
        import numpy as np

        digest = hashlib.sha256(f"{self._seed}:{epoch}".encode()).digest()
        shuffled = self._config.descent.order == "shuffled"
        chance = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        order = chance.permutation(len(labels)) if shuffled else np.arange(len(labels))
        norms = []
        for batch in np.split(order, range(10, len(order), 10)):
            check()
            wrong = _softmax(features[batch] @ self._weights) - np.eye(len(NAMES))[labels[batch]]
            gradient = features[batch].T @ wrong / len(batch)
            norms.append(float(np.linalg.norm(gradient)))
            self._weights = self._weights - self._config.descent.step * gradient
        return math.fsum(norms) / len(norms)

    def _measured(self, split: Any) -> tuple[float, float, list[float]]:
        """Returns loss, accuracy, and recall of each class."""
        from catwalk.problems import scores

        logits, labels = _features(split["pixels"]) @ self._weights, split["labels"]
        confusion = scores.confusion_matrix(labels, logits.argmax(axis=1), len(NAMES))
        accuracy = float(confusion.diagonal().sum() / len(labels))
        return scores.cross_entropy(logits, labels), accuracy, scores.rates(confusion)[0].tolist()

    def state(self) -> bytes:
        return self.model()

    def restore(self, state: bytes) -> None:
        self._weights = _weights(state)

    def model(self) -> bytes:
        return json.dumps([[weight.hex() for weight in row] for row in self._weights.tolist()]).encode()


def _drawn(chance: Any, size: int, grain: float) -> dict[str, Any]:
    """Returns pictures, uint8 (n, 8, 8), and labels, int64 (n,)."""
    import numpy as np

    labels = np.arange(size) % len(NAMES)
    ink = np.zeros((size, SIDE, SIDE))
    for picture, label in zip(ink, labels, strict=True):
        row, column = chance.integers(2, SIDE - 2, size=2)
        if label != 1:
            picture[row] = 1
        if label == 1:
            picture[row - 1 : row + 2, column - 1 : column + 2] = 1
        if label == 2:
            picture[:, column] = 1
    noisy = ink + chance.normal(scale=grain, size=ink.shape)
    return {"pixels": (np.clip(noisy, 0, 1) * 255).astype(np.uint8), "labels": labels}


def _features(images: Any) -> Any:
    import numpy as np

    flat = images.reshape(len(images), -1) / 255
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def _softmax(logits: Any) -> Any:
    import numpy as np

    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _weights(model: bytes) -> Any:
    import numpy as np

    try:
        return np.array([[float.fromhex(weight) for weight in row] for row in json.loads(model)])
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"the model is no table of weights ({error})") from error
