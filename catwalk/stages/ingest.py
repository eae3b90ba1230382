"""Ingest: reads, splits and stores the dataset."""

from __future__ import annotations

import logging
from dataclasses import replace

from catwalk.ledger.runs import Run, with_dataset
from catwalk.stages.lifecycle.attempts import already_done, attempt
from catwalk.telemetry.observer import Observer
from catwalk.trainable import config_of, of_run

log = logging.getLogger(__name__)


def ingest(run: Run, observer: Observer) -> None:
    """Writes ``dataset.json``.

    Raises:
        DatasetError: A file of the dataset is missing or damaged.
    """
    if run.dataset():
        already_done(run, "ingest")
        return
    with attempt(run, "ingest", observer) as this:
        from catwalk.stages.artifacts.datasets import store_data

        trainable = of_run(run.record)
        data = trainable.load(config_of(trainable, run.record))
        this.check_cancelled()
        stored = store_data(run.store, data, run.record.classes, run.record.synthetic)
        record = run.put_once("dataset.json", stored)
        for name, split in record.splits.items():
            log.info("%s: %d examples, by class %s", name, split.examples, split.class_counts)
        log.info("training data: %s", ", ".join(f"{name} {value:.4f}" for name, value in record.statistics.items()))
        train = record.splits["train"]
        shares = [count / train.examples for count in train.class_counts]
        this.summarise(lambda summary: replace(with_dataset(summary, record), class_shares=shares))
