"""A version of a model, loaded and warmed up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as arrays_of

from catwalk.errors import ArtifactError, NotFoundError
from catwalk.ledger.examples import split_body
from catwalk.ledger.models.champion import champion_weights, verified_model
from catwalk.ledger.runs import Run
from catwalk.problems.scores import log_probabilities
from catwalk.service import reference as references
from catwalk.serving.inputs import Inputs
from catwalk.trainable import ThreadSafe, Trainable, config_of, of_run

if TYPE_CHECKING:
    from catwalk.ledger.records.model import ChampionRecord
    from catwalk.ledger.records.reference import ReferenceRecord
    from catwalk.trainable import Arrays, Predictor

_WARM_BATCHES = (1, 32)
"""Sizes of the batches that warm a model up."""


@dataclass(frozen=True, eq=False)
class Version:
    """A version that answers."""

    run_id: str
    model_sha256: str
    classes: Sequence[str]
    inputs: Inputs
    reference: ReferenceRecord
    trainable: Trainable
    predict: Predictor
    loaded: float
    turn: AbstractContextManager[Any] = field(default_factory=Lock)
    """Held while `predict` runs: a lock, unless the Trainable is thread-safe."""

    def probabilities(self, inputs: Arrays) -> NDArray[np.float64]:
        """The probability of each class, (n, classes).

        Raises:
            ArtifactError: The model's answer has the wrong shape or type, or is not finite.
        """
        examples = len(next(iter(inputs.values())))
        with self.turn:
            answer = self.predict(inputs)
        logits = self.trainable.problem.checked(answer, examples)
        if not np.isfinite(logits).all():
            raise ArtifactError(f"the model of run {self.run_id} returned values that are not finite")
        return np.exp(log_probabilities(logits))


def champion(run: Run, record: ChampionRecord) -> Version:
    """The version in service.

    Raises:
        CatwalkError: Part of it is missing or damaged, or was made by code that is not here.
    """
    return _loaded(run, record.model_sha256, lambda: champion_weights(run.store, record))


def candidate(run: Run) -> Version:
    """A run's model, whether or not it is in service.

    Raises:
        CatwalkError: See :func:`champion`.
    """
    training = run.training()
    return _loaded(run, training.model_sha256 if training else "", lambda: verified_model(run))


def _reference(run: Run, trainable: Trainable) -> ReferenceRecord:
    """The reference of a run; if its inputs can't be watched, a reference of its test's answers alone."""
    try:
        return references.in_service(run)
    except NotFoundError:
        stored = run.store.get(run.key("predictions.safetensors"))
        return references.make(run, trainable.problem, None, arrays_of(stored.body)["logits"])


def _loaded(run: Run, model_sha256: str, weights: Any) -> Version:
    if run.model():
        raise ArtifactError(f"the model of run {run.run_id} was logged by a program, and only that program can ask it")
    dataset = run.dataset()
    if dataset is None:
        raise ArtifactError(f"run {run.run_id} no longer has its dataset, which describes the model's inputs")
    trainable = of_run(run.record)
    examples = arrays_of(split_body(run.store, dataset, "test"))
    version = Version(
        run_id=run.run_id,
        model_sha256=model_sha256,
        classes=trainable.problem.classes,
        inputs=Inputs.of(examples, trainable),
        reference=_reference(run, trainable),
        trainable=trainable,
        predict=trainable.predictor(config_of(trainable, run.record), weights()),
        loaded=time.time(),
        turn=nullcontext() if isinstance(trainable, ThreadSafe) and trainable.thread_safe else Lock(),
    )
    for size in _WARM_BATCHES:
        version.probabilities({name: examples[name][:size] for name in version.inputs.named})
    return version
