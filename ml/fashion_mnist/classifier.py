"""The classifier as a Trainable; the methods that compute import torch, because DAG files import this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catwalk.environment.cpus import usable_cpus
from catwalk.errors import DownloadError
from catwalk.problems.multiclass import Multiclass
from catwalk.trainable import Data, Fit, Invert, Plan
from ml.fashion_mnist.config import CLASSES, SIDE, DataConfig, RunConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catwalk.trainable import Arrays, Predictor


class Classifier:
    """See :class:`catwalk.trainable.Trainable`."""

    reference = "ml.fashion_mnist:CLASSIFIER"
    problem = Multiclass(CLASSES)
    config = RunConfig

    def plan(self, config: RunConfig) -> Plan:
        """Returns the part of a configuration that concerns the stages."""
        return Plan(
            model=config.model,
            epochs=config.training.epochs,
            seed=config.training.seed,
            synthetic=config.data.synthetic,
            checkpoint_seconds=config.training.checkpoint_seconds,
        )

    def dated(self, config: RunConfig, begins: datetime) -> RunConfig:
        """Returns the configuration with the day up to which a feed is read: by default, the day in UTC on which the
        run starts.
        """
        return replace(config, data=config.data.dated(begins.astimezone(UTC).date()))

    def load(self, config: RunConfig) -> Data:
        """Returns the three splits: ``images``, uint8 (n, 28, 28), and ``labels``, uint8 (n,)."""
        from ml.fashion_mnist.dataset import read_splits, statistics

        splits = read_splits(config.data)
        return Data(
            splits={
                name: {"images": split.images.numpy(), "labels": split.labels.numpy()} for name, split in splits.items()
            },
            statistics=statistics(splits["train"].images),
            source=config.data.source,
            as_of=config.data.as_of or "",
            details={"split_seed": config.data.split_seed},
        )

    def start(self, config: RunConfig, seed: int, data: Data) -> Fit:
        """Returns new weights from the seed."""
        from ml.fashion_mnist.dataset import Split
        from ml.fashion_mnist.training import Trainer

        train, validation = (Split.of(data.splits[name]) for name in ("train", "validation"))
        return Trainer.start(config, seed, train, validation, data.statistics)

    def predictor(self, config: RunConfig, model: bytes) -> Predictor:
        """Returns a network from its run's configuration and its safetensors file; nothing is unpickled."""
        import torch

        from ml.fashion_mnist.training import load_network, score

        torch.set_num_threads(config.training.threads or usable_cpus())
        network = load_network(config, model)

        def predict(inputs: Arrays) -> NDArray[Any]:
            return score(network, network.standardise(torch.tensor(inputs["images"]))).numpy()

        return predict

    def upgrade(self, old_config: dict[str, Any]) -> dict[str, Any]:
        """Returns a configuration of another version. All its settings are kept; `load_network` refuses those that
        would give a different network. A setting that did not exist yet gets its neutral value, not the current
        default.
        """
        training = {"label_smoothing": 0.0, "shift": 0.0, "precision": "float32"} | old_config.get("training", {})
        return {**old_config, "training": training}

    def read(self, path: Path, invert: Invert) -> Arrays:
        """Returns any picture in the format that the network was trained on."""
        import numpy as np

        from ml.fashion_mnist.pictures import read_image

        pixels = read_image(path, invert)
        return {"images": np.frombuffer(pixels, dtype=np.uint8).reshape(1, SIDE, SIDE)}

    def preview(self, inputs: Arrays) -> NDArray[Any]:
        """Returns the examples' pictures."""
        return inputs["images"]

    def check(self) -> str:
        """Checks whether the published files exist and are complete."""
        from ml.fashion_mnist.dataset import dataset_root, read_splits
        from ml.fashion_mnist.published import is_here

        root = dataset_root()
        if not is_here(root):
            raise DownloadError(
                f"Fashion-MNIST is not in {root} yet; the first run downloads it; if you are offline, set "
                "CATWALK_DATASET_ROOT"
            )
        splits: Mapping[str, Any] = read_splits(DataConfig())
        return f"Fashion-MNIST in {root}: " + ", ".join(f"{len(split):,} {name}" for name, split in splits.items())


CLASSIFIER = Classifier()
