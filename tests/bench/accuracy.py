"""The default recipe on the real data: accuracy over seeds, wall time, memory, and what checkpoints cost."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable

from tests.bench.measure import Measurement


def _train(seed: int) -> tuple[float, float, float, float, float]:
    """Accuracy, calibration error, seconds of training, peak memory, and a checkpoint's share of an epoch."""
    from ml.config import RunConfig
    from ml.dataset import read_splits
    from ml.evaluation import evaluate, predict
    from ml.training import Trainer

    config = RunConfig()
    splits = read_splits(config.data)
    shades = splits["train"].images.double() / 255
    mean, stddev = float(shades.mean()), float(shades.std(correction=0))
    del shades
    started = time.perf_counter()
    trainer = Trainer.start(config, seed, mean, stddev)
    trainer.run(splits["train"], splits["validation"], lambda record: None, lambda: None)
    seconds = time.perf_counter() - started
    serialised = time.perf_counter()
    trainer.state(1)
    share = (time.perf_counter() - serialised) / statistics.median(r.duration_seconds for r in trainer.epochs)
    predictions, inference = predict(trainer.network, splits["test"])
    record = evaluate(predictions, "", "", inference)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return record.accuracy, record.calibration_error, seconds, memory, share


def measure(seeds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Each seed in a process of its own, so that peak memory is one run's."""
    results = []
    for seed in range(seeds):
        say(f"accuracy: seed {seed + 1} of {seeds}")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results.append(pool.apply(_train, (seed,)))
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
        Measurement("serialising a checkpoint ÷ epoch", [100 * value for value in share], " %", "at most 2"),
    ]
