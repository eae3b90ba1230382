"""A model tells as many classes apart as its data has, by their own names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from catwalk.errors import ArtifactError
from catwalk.gate.baselines import predicted_by
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Examples, Opponent, rule
from catwalk.ledger.records import EvaluationRecord
from catwalk.ledger.runs import Run
from ml.fashion_mnist.config import RunConfig
from ml.fashion_mnist.dataset import Split
from ml.fashion_mnist.evaluation import evaluate, predict, table
from ml.fashion_mnist.training import Trainer, load_network

THREE = ["猫", "sedan, red [x]", "ä b"]


@pytest.fixture
def of_three_classes(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setattr("ml.fashion_mnist.training.CLASSES", tuple(THREE))
    return RunConfig.from_flat({"epochs": 2, "hidden": "8", "batch_size": 16, "threads": 1, "seed": 1})


def stripes(count: int) -> Split:
    """Pictures that are bright in another third for each class."""
    labels = torch.arange(count) % 3
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    for number, label in enumerate(labels.tolist()):
        images[number, :, 9 * label : 9 * label + 9] = 200 + number % 50
    return Split(images, labels.to(torch.uint8))


def scored(config: RunConfig) -> tuple[Trainer, EvaluationRecord]:
    trainer = Trainer.start(config, 1, 0.3, 0.3)
    trainer.run(stripes(300), stripes(30), lambda record: None, lambda: None)
    predictions, seconds = predict(load_network(config, trainer.weights()), stripes(60))
    assert predictions.logits.shape == (60, 3)
    return trainer, evaluate(predictions, THREE, "m", "d", seconds)


def test_training_and_test_have_figures_of_each_class(of_three_classes: RunConfig) -> None:
    trainer, score = scored(of_three_classes)
    assert [len(epoch.class_accuracy) for epoch in trainer.epochs] == [3, 3]
    assert score.classes == THREE
    assert [len(row) for row in score.confusion] == [3, 3, 3]
    assert score.accuracy > 0.9, "or it has learnt nothing"
    assert all(name in table(score) for name in THREE)


def test_the_gate_names_the_class_that_is_worst_and_the_one_that_got_worse(of_three_classes: RunConfig) -> None:
    _, score = scored(of_three_classes)
    labels = np.arange(3_000) % 3
    worse = np.where(labels == 1, 0, labels)
    score = dataclasses.replace(score, class_accuracy=[1.0, 0.0, 1.0])
    for classes, name in ((THREE, "sedan, red [x]"), ([], "1")):
        ruling = rule(
            dataclasses.replace(score, classes=classes),
            labels,
            worse,
            [Opponent("champion", "c", labels)],
            Examples(False, ""),
            1,
            "",
            GateConfig(),
        )
        told = {check.check: check.sentence for check in ruling.checks}
        assert told["recall_floor"].startswith(f"Recall of {name} 0.00% is below")
        assert told["class_regression"].startswith(f"{name} got worse by 100.00 points")


@pytest.mark.integration
def test_a_champion_of_other_classes_is_not_compared_with(new_run: Callable[..., Run]) -> None:
    ours, theirs = new_run(), new_run()
    theirs.__dict__["record"] = dataclasses.replace(theirs.record, classes=THREE)
    told = f"run {theirs.run_id} tells other classes apart than run {ours.run_id}"
    with pytest.raises(ArtifactError, match=re.escape(told)):
        predicted_by(ours, theirs)
