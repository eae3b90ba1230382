"""A model distinguishes the classes of its data, however many, by their own names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest

from catwalk.errors import ArtifactError
from catwalk.gate.baselines import predicted_by
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, rule
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.runs import Run
from catwalk.problems.multiclass import Multiclass, table
from catwalk.problems.paired.differences import Integers

THREE = ["猫", "sedan, red [x]", "ä b"]


def scored(labels: Integers) -> EvaluationRecord:
    """Returns the answers of a model that is always right."""
    return Multiclass(tuple(THREE)).evaluate(8 * np.eye(3)[labels], labels, "m", "d", 0.1)


def test_a_score_has_figures_of_each_class() -> None:
    score = scored(np.arange(60) % 3)
    assert score.classes == THREE
    assert score.confusion == [[20, 0, 0], [0, 20, 0], [0, 0, 20]]
    assert all(name in table(score) for name in THREE)


def test_the_gate_names_the_class_that_is_worst_and_the_one_that_got_worse() -> None:
    score = scored(np.arange(60) % 3)
    labels = np.arange(3_000) % 3
    worse = np.where(labels == 1, 0, labels)
    score = dataclasses.replace(score, class_accuracy=[1.0, 0.0, 1.0])
    for classes, name in ((THREE, "sedan, red [x]"), ([], "1")):
        ruling = rule(
            dataclasses.replace(score, classes=classes),
            labels,
            worse,
            [Baseline("champion", "c", labels)],
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
    told = f"the classes of run {theirs.run_id} differ from those of run {ours.run_id}"
    with pytest.raises(ArtifactError, match=re.escape(told)):
        predicted_by(ours, theirs)
