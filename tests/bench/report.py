"""How long a report takes once everything is imported, how large it is, and the same for forty runs side by side."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.accuracy import s3
from tests.bench.measure import Measurement
from tests.support.small import SMALL

COMPARED = 40


def measure(rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """A small run on synthetic data, compared with a champion; a report always shows 10,000 test images."""
    from catwalk.ledger.runs import Ledger, new_run_id
    from catwalk.report.build import build
    from catwalk.report.comparison import page as compare_page
    from catwalk.report.comparison.differences import compare, side_by_side
    from catwalk.stages.lifecycle.opening import open_run
    from catwalk.stages.pipeline import run_stages
    from catwalk.storage.s3_store import S3Store
    from catwalk.telemetry.observer import Silent
    from ml.fashion_mnist import CLASSIFIER
    from ml.fashion_mnist.config import RunConfig

    before = os.environ.get("CATWALK_HOME")
    with tempfile.TemporaryDirectory() as folder, s3(Path(folder)) as store_url:
        os.environ["CATWALK_HOME"] = folder
        try:
            ledger, runs = Ledger(S3Store(store_url)), []
            for seed in range(2):
                say(f"report: run {seed + 1} of 2")
                runs.append(
                    open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat({**SMALL, "seed": seed}), "cli")
                )
                run_stages(runs[-1], Silent())
            times, sizes, many = [], [], []
            found = compare(ledger.store, [run.run_id for run in runs])
            entries = [
                dataclasses.replace(found.entries[number % 2], run_id=f"20261123T030000Z-{number:08x}")
                for number in range(COMPARED)
            ]
            for number in range(rounds):
                say(f"report: round {number + 1} of {rounds}")
                started = time.perf_counter()
                sizes.append(len(build(runs[-1]).html) / 2**20)
                times.append(time.perf_counter() - started)
                started = time.perf_counter()
                compare_page.build(side_by_side(entries))
                many.append(time.perf_counter() - started)
        finally:
            os.environ.pop("CATWALK_HOME")
            if before is not None:
                os.environ["CATWALK_HOME"] = before
    return [
        Measurement("building a run's report", times, " s", "under 5"),
        Measurement("its size", sizes, " MiB", "under 3"),
        Measurement(f"the page that compares {COMPARED} runs", many, " s", "-"),
    ]
