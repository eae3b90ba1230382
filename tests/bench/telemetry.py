"""What telemetry costs a training and how much of it is lost, with a real statsd_exporter at the other end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil

from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import MAX_EPOCHS, EpochRecord
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.points import epoch_points
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.bench.measure import Measurement
from tests.support.servers import StatsdExporter

BURST = 450
"""Points sent at once, rounded up to whole epochs."""
SUSTAINED_EPOCHS = 2_000


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures the time in the emitter against the epoch's own time: the cost is smaller than the noise between two
    epochs.
    """
    say("telemetry: cost of an epoch's points")
    config = RunConfig.from_flat({"epochs": MAX_EPOCHS}).to_dict()
    run = RunRecord("20261123T030000Z-7f3a90c1", "mlp", "cli", config, 7, "c0de", 1_000.0, False)
    exporter = StatsdExporter()
    try:
        emitter = Emitter(exporter.address)
        cost, epoch = _cost(run, emitter)
        points = len(epoch_points(run, epoch))
        rates, lost = [], []
        for number in range(1, rounds + 1):
            say(f"telemetry: bursts, round {number} of {rounds}")
            rates.append(_sustained(run, epoch, emitter))
            lost.append(_lost_in_burst(replace(run, run_id=f"burst-{number}"), epoch, exporter))
    finally:
        exporter.stop()
    return [
        Measurement("epoch with telemetry ÷ without", cost, "×", "at most 1.01"),
        Measurement("points a second that the emitter sends", rates, "", "-"),
        Measurement(
            f"points lost of {ceil(BURST / points) * points} sent at once, statsd_exporter stopped for 0.2 s",
            lost,
            "",
            "0",
        ),
    ]


def _cost(run: RunRecord, emitter: Emitter) -> tuple[list[float], EpochRecord]:
    """Returns the ratio in each of several epochs of the default recipe, and the last one's record."""
    config = RunConfig.from_flat({**run.parameters, "epochs": 5})
    ratios = []
    for record in CLASSIFIER.start(config, 0, CLASSIFIER.load(config)).epochs(0, lambda: None):
        started = time.perf_counter()
        emitter.epoch_finished(run, record)
        ratios.append(1 + (time.perf_counter() - started) / record.duration_seconds)
    return ratios, record


def _sustained(run: RunRecord, record: EpochRecord, emitter: Emitter) -> float:
    """Returns the points per second over many epochs in a row, from record to socket."""
    started = time.perf_counter()
    for epoch in range(SUSTAINED_EPOCHS):
        emitter.epoch_finished(run, replace(record, epoch=epoch % MAX_EPOCHS + 1))
    seconds = time.perf_counter() - started
    emitter.take_dropped()
    return SUSTAINED_EPOCHS * len(epoch_points(run, record)) / seconds


def _lost_in_burst(run: RunRecord, record: EpochRecord, exporter: StatsdExporter) -> float:
    """Returns the points that are not in statsd_exporter after a burst that it could not read for 0.2 s."""
    emitter = Emitter(exporter.address)
    points = len(epoch_points(run, record))
    epochs = ceil(BURST / points)
    os.kill(exporter.process.pid, signal.SIGSTOP)
    try:
        for epoch in range(1, epochs + 1):
            emitter.epoch_finished(run, replace(record, epoch=epoch))
        time.sleep(0.2)
    finally:
        os.kill(exporter.process.pid, signal.SIGCONT)
    deadline, arrived = time.monotonic() + 10, 0
    while arrived < epochs * points and time.monotonic() < deadline:
        scrape = exporter.scrape()
        arrived = sum(dict(labels).get("run_id") == run.run_id for _, labels in scrape.of("ml_epoch"))
    return float(epochs * points - arrived)
