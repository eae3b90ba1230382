"""One epoch of training: the loop of PyTorch's quickstart and ours, on the same network, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from catwalk.environment.cpus import usable_cpus
from ml.fashion_mnist.config import RunConfig
from ml.fashion_mnist.dataset import Split, dataset_root, read_splits
from ml.fashion_mnist.training import Trainer
from tests.bench.measure import Measurement

SAME_BATCH = 64
PLAIN = {"dropout": 0.0, "weight_decay": 0.0}
"""The quickstart's network has neither."""


def quickstart_epoch(examples: int, device: str = "cpu") -> float:
    """Returns the seconds of one epoch as in the tutorial: a DataLoader that decodes each image as it loads it."""
    whole = FashionMNIST(str(dataset_root()), train=True, download=True, transform=ToTensor())  # unpacks a .gz
    dataset = Subset(whole, range(examples))
    loader = DataLoader(dataset, batch_size=SAME_BATCH)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    ).to(device)
    criterion, optimiser = nn.CrossEntropyLoss(), torch.optim.SGD(network.parameters(), lr=1e-3)
    network.train()
    started = time.perf_counter()
    for images, labels in loader:
        criterion(network(images.to(device)), labels.to(device)).backward()
        optimiser.step()
        optimiser.zero_grad()
    network[1].weight.sum().item()  # waits for a GPU
    return time.perf_counter() - started


def our_epoch(splits: dict[str, Split], **knobs: object) -> float:
    """Returns the seconds of one of our epochs, including shuffling, gradient norm and momentum."""
    config = RunConfig.from_flat({**PLAIN, **knobs, "epochs": 1})
    statistics = {"pixel_mean": 0.286, "pixel_stddev": 0.353}
    trainer = Trainer.start(config, 0, splits["train"], splits["validation"], statistics)
    return next(trainer.epochs(0, lambda: None)).duration_seconds


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Returns ratios of examples per second; both sides of a ratio are measured within the same minute."""
    splits = read_splits(RunConfig().data)
    torch.set_num_threads(usable_cpus())
    default = RunConfig().training.batch_size
    same, ours = [], []
    for number in range(1, rounds + 1):
        say(f"epochs: round {number} of {rounds}")
        reference = quickstart_epoch(len(splits["train"]))
        same.append(reference / our_epoch(splits, batch_size=SAME_BATCH))
        ours.append(reference / our_epoch(splits, batch_size=default))
    return [
        Measurement(f"quickstart's epoch ÷ ours, both batch {SAME_BATCH}", same, "×", "at least 2.5"),
        Measurement(f"quickstart's epoch ÷ ours, our batch {default}", ours, "×", "at least 3.5, aim 5"),
    ]
