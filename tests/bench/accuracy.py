"""The default recipe on the real data: accuracy over seeds, wall time, memory, and what checkpoints cost."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import Measurement
from tests.support.servers import ENVIRONMENT, S3Server


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """Starts an S3 server that the environment points to; yields the URL of a store in it."""
    server = S3Server(folder)
    server.start()
    try:
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL_S3=server.url)
        yield f"s3://{server.bucket()}"
    finally:
        server.stop()


def _train(seed: int, store_url: str) -> tuple[float, float, float, float, float]:
    """Returns accuracy, calibration error, seconds of training, peak memory, and the share of the time that checkpoints
    take.
    """
    from catwalk.storage.s3_store import S3Store
    from ml.fashion_mnist import CLASSIFIER
    from ml.fashion_mnist.config import RunConfig

    config = RunConfig()
    data = CLASSIFIER.load(config)
    started = time.perf_counter()
    fit = CLASSIFIER.start(config, seed, data)
    for _ in fit.epochs(0, lambda: None):
        pass
    seconds = time.perf_counter() - started
    store = S3Store(store_url)
    store.check()  # opens the connection
    begun = time.perf_counter()
    store.put(f"checkpoint-{seed}", fit.state())
    checkpoint = time.perf_counter() - begun
    share = checkpoint * (1 + seconds // config.training.checkpoint_seconds) / seconds
    logits = CLASSIFIER.predictor(config, fit.model())(data.splits["test"])
    record = CLASSIFIER.problem.evaluate(logits, data.splits["test"]["labels"], "", "", 0.0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return record.accuracy, record.calibration_error, seconds, memory, share


def measure(seeds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Trains each seed in its own process, so that the peak memory is that of one run."""
    results = []
    with tempfile.TemporaryDirectory() as folder, s3(Path(folder)) as store_url:
        for seed in range(seeds):
            say(f"accuracy: seed {seed + 1} of {seeds}")
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                results.append(pool.apply(_train, (seed, store_url)))
    accuracy, calibration, seconds, memory, share = (list(column) for column in zip(*results, strict=True))
    mean, spread = statistics.mean(accuracy), statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
    return [
        Measurement(
            f"test accuracy of the default recipe (mean {mean:.2%}, sd {spread:.2%})",
            [100 * value for value in accuracy],
            " %",
            "mean at least 90.0, aim 90.5",
        ),
        Measurement("its calibration error", [100 * value for value in calibration], " %", "at most 5"),
        Measurement("its wall time", seconds, " s", "under 60, aim 30"),
        Measurement("its peak memory", [value / 2**20 for value in memory], " MiB", "-"),
        Measurement("share of it that checkpoints to S3 take", [100 * value for value in share], " %", "at most 2"),
    ]
