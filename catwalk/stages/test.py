"""Test: the trained model's score on the test split."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from catwalk.errors import ArtifactError, InputError
from catwalk.ledger.models.champion import verified_model
from catwalk.ledger.runs import Run, with_evaluation
from catwalk.problems.multiclass import table
from catwalk.stages.artifacts import previews
from catwalk.stages.lifecycle.attempts import already_done, attempt
from catwalk.telemetry.observer import Observer
from catwalk.trainable import config_of, of_run

if TYPE_CHECKING:
    from catwalk.trainable import Arrays, Predictor, Trainable

log = logging.getLogger(__name__)


def test(run: Run, observer: Observer) -> None:
    """Writes ``predictions.safetensors``, ``previews.safetensors``, ``reference.json`` and ``evaluation.json``.

    Raises:
        ArtifactError: The model or the dataset is missing, or doesn't match its sha256.
    """
    if run.evaluation():
        already_done(run, "test")
        return
    with attempt(run, "test", observer) as this:
        import numpy as np
        from safetensors.numpy import save

        from catwalk.gate.baselines import score_incumbents
        from catwalk.stages.artifacts.datasets import load_split

        dataset, training = run.dataset(), run.training()
        if dataset is None or training is None:
            raise ArtifactError(f"run {run.run_id} has no trained model yet; run train before test")
        trainable = of_run(run.record)
        predict = trainable.predictor(config_of(trainable, run.record), verified_model(run))
        this.check_cancelled()
        arrays = load_split(run.store, dataset, "test")
        labels = arrays["labels"].astype(np.int64)
        answers, seconds = _timed(predict, arrays)
        logits = trainable.problem.checked(answers, len(labels))
        run.store.put(run.key("predictions.safetensors"), save({"logits": logits, "labels": labels}))
        pictures = previews.store(run, trainable, arrays, logits, labels)
        _refer(run, trainable, arrays, logits, labels)
        score = trainable.problem.evaluate(logits, labels, training.model_sha256, dataset.sha256, seconds)
        record = run.put_once("evaluation.json", replace(score, previews_sha256=pictures))
        log.info("%s", table(record))
        observer.test_finished(run.record, record)
        score_incumbents(run)
        this.summarise(lambda summary: with_evaluation(summary, record))


def _refer(run: Run, trainable: Trainable, inputs: Arrays, logits: Any, labels: Any) -> None:
    """Stores the distribution of inputs and answers as a reference for the service. If they can't be watched, only the
    reference is missing; the run doesn't fail.
    """
    from catwalk.service import reference

    try:
        found = reference.make(run, trainable.problem, reference.watched(inputs), logits, labels=labels)
    except InputError as error:
        log.warning("no reference for the service: %s", error)
        return
    reference.store(run, found)


def _timed(predict: Predictor, arrays: Arrays) -> tuple[Any, float]:
    """The model's answers, and the seconds that they took."""
    started = time.perf_counter()
    return predict(arrays), time.perf_counter() - started
