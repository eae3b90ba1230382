"""A model's predictions for single inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.values import class_names
from catwalk.problems.scores import log_probabilities
from catwalk.trainable import Trainable, config_of

if TYPE_CHECKING:
    from catwalk.trainable import Arrays

Answer = list[tuple[str, float]]
"""Classes with their probabilities, the likeliest first."""


def top_classes(
    trainable: Trainable, run: RunRecord, model: bytes, inputs: Sequence[Arrays], count: int
) -> list[Answer]:
    """The likeliest classes of each input, with their probabilities, likeliest first.

    Args:
        trainable: The Trainable that made the model.
        run: The run that made it.
        model: Its verified bytes.
        inputs: Inputs of one example each.
        count: Maximum number of classes for each.

    Raises:
        ArtifactError: The bytes are not a model of this Trainable.
    """
    predict = trainable.predictor(config_of(trainable, run), model)
    together = {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}
    logits = trainable.problem.checked(predict(together), len(inputs))
    names = class_names(run.classes, logits.shape[1])
    probabilities = np.exp(log_probabilities(logits))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [(names[label], float(of[label])) for label in labels] for of, labels in zip(probabilities, best, strict=True)
    ]
