"""`make bench-gpu`: the default recipe on a GPU beside the loop of PyTorch's quickstart; prints a table. It takes 2
minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from shutil import which

import torch

from catwalk.entry_point import entry_point
from catwalk.errors import ConfigError
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.bench.epochs import SAME_BATCH, quickstart_epoch
from tests.bench.measure import Measurement

CONFIG = RunConfig.from_flat({"device": "cuda"})
EXAMPLES = CONFIG.data.train_examples


@dataclass(frozen=True)
class Training:
    """One training of the default recipe."""

    start: float
    """Seconds until the device is ready, with fresh weights."""
    seconds: float
    """Seconds of all epochs, with what comes before the first: moving examples to the device, loading libraries,
    capture.
    """
    epochs: list[float]
    """Seconds of each epoch except the first, including evaluation."""
    memory: int
    """Bytes of the device that torch holds at its peak."""
    accuracy: float
    """Accuracy on the test split."""


@entry_point("bench-gpu")
def main() -> None:
    """Entry point.

    Raises:
        ConfigError: There is no GPU.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="trainings to time, each in a process of its own")
    rounds = parser.parse_args().rounds
    if not torch.cuda.is_available():
        raise ConfigError("torch finds no GPU; run this on a machine with a GPU, with a build of torch for it")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        trainings = [pool.apply(train, (seed,)) for seed in range(rounds)]
        outside = pool.apply(share_outside)
    print(f"\n{machine()}\n\n{Measurement.header}")
    for entry in measured(trainings, outside):
        print(entry.row)


def machine() -> str:
    """Returns what the figures depend on, in one line."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.check_output(query, text=True).partition("\n")[0] if which(query[0]) else "unknown"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {torch.cuda.get_device_name()}, driver {driver}, "
        f"CUDA {torch.version.cuda}, torch {torch.__version__}, Python {platform.python_version()}"
    )


def train(seed: int) -> Training:
    """Trains once, in a process that has not used the device yet."""
    data = CLASSIFIER.load(CONFIG)
    begun = time.perf_counter()
    fit = CLASSIFIER.start(CONFIG, seed, data)
    torch.cuda.synchronize()
    ends = [time.perf_counter()]
    for _ in fit.epochs(0, lambda: None):
        ends.append(time.perf_counter())
    memory = torch.cuda.max_memory_reserved()
    logits = CLASSIFIER.predictor(CONFIG, fit.model())(data.splits["test"])
    accuracy = float((logits.argmax(1) == data.splits["test"]["labels"]).mean())
    each = [after - before for before, after in pairwise(ends)]
    return Training(ends[0] - begun, ends[-1] - ends[0], each[1:], memory, accuracy)


def share_outside() -> list[float]:
    """Returns the share of each epoch except the first in which the device runs no captured step."""
    fit, shares = CLASSIFIER.start(CONFIG, 0, CLASSIFIER.load(CONFIG)), []
    with timed_replays() as replays:
        before = time.perf_counter()
        for _ in fit.epochs(0, lambda: None):
            after = time.perf_counter()
            captured = sum(start.elapsed_time(end) for start, end in replays) / 1000
            shares.append(1 - captured / (after - before))
            replays.clear()
            before = time.perf_counter()
    return shares[1:]


@contextmanager
def timed_replays() -> Iterator[list[tuple[torch.cuda.Event, torch.cuda.Event]]]:
    """Records events before and after each launch of a graph."""
    events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
    replay = torch.cuda.CUDAGraph.replay

    def timed(graph: torch.cuda.CUDAGraph) -> None:
        pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        pair[0].record()
        replay(graph)
        pair[1].record()
        events.append(pair)

    torch.cuda.CUDAGraph.replay = timed  # type: ignore[method-assign]
    try:
        yield events
    finally:
        torch.cuda.CUDAGraph.replay = replay  # type: ignore[method-assign]


def measured(trainings: list[Training], outside: list[float]) -> list[Measurement]:
    """Returns the table's rows. Our epochs include their evaluation; those of the quickstart's loop have none."""
    epochs = [seconds for training in trainings for seconds in training.epochs]
    quickstart_epoch(SAME_BATCH, "cuda")  # loads what the device needs
    reference = [quickstart_epoch(EXAMPLES, "cuda") for _ in range(3)]
    plain = Measurement(f"the quickstart's epoch, batch {SAME_BATCH}", reference, " s", "-")
    return [
        Measurement("training, all epochs of the default recipe", [t.seconds for t in trainings], " s", "at most 1.5"),
        Measurement("before training: device and weights", [t.start for t in trainings], " s", "-"),
        Measurement("an epoch, including its evaluation", [1000 * seconds for seconds in epochs], " ms", "-"),
        Measurement("examples a second", [EXAMPLES / seconds for seconds in epochs], "", "-"),
        plain,
        Measurement("quickstart's epoch ÷ ours", [plain.median / seconds for seconds in epochs], "×", "at least 80"),
        Measurement("share of an epoch outside the captured step", [100 * s for s in outside], " %", "at most 15"),
        Measurement("peak memory of the device", [t.memory / 2**20 for t in trainings], " MiB", "-"),
        Measurement("test accuracy", [100 * t.accuracy for t in trainings], " %", "mean at least 90.0"),
    ]


if __name__ == "__main__":
    sys.exit(main())
