"""The champion: the version of a model that is in service. One object a model, changed by compare-and-swap only."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.errors import ArtifactError, CatwalkError, NotFoundError, PreconditionFailedError
from ml.records import ChampionRecord, PromotionRecord
from ml.runs import Run
from ml.store import Store

if TYPE_CHECKING:
    from ml.network import Perceptron

# A new run alone does not help where the champion is lost: the gate holds what it can't compare.
_REMEDY = "train a new run; if this one is in service, `catwalk rollback` or `catwalk promote` puts another there"


@dataclass(frozen=True)
class Champions:
    """The champion pointers of a store."""

    store: Store

    @staticmethod
    def _key(model: str) -> str:
        return f"champions/{model}.json"

    def get(self, model: str) -> tuple[ChampionRecord, str] | None:
        """The champion and the ETag to replace it by, or None while there is none."""
        return self.store.find_record(ChampionRecord, self._key(model))

    def models(self) -> list[str]:
        """Names of the models that have a champion."""
        return [entry.key.removeprefix("champions/").removesuffix(".json") for entry in self.store.list("champions/")]

    def promote(
        self, run: Run, current: tuple[ChampionRecord, str] | None, by: str, reason: str, rollback: bool = False
    ) -> ChampionRecord:
        """Puts a run's model into service in place of the champion that the decision was made against.

        Raises:
            ArtifactError: the model is missing or is not the one that was tested.
            PreconditionFailedError: the champion has changed since `current` was read; decide again.
        """
        verified_model(run)
        evaluation = run.evaluation()
        if evaluation is None:
            raise ArtifactError(f"run {run.run_id} was never tested, so its model can't be promoted")
        previous = current[0] if current else None
        change = PromotionRecord(
            run_id=run.run_id,
            model_sha256=evaluation.model_sha256,
            promoted=time.time(),
            previous=previous.run_id if previous else "",
            by=by,
            reason=reason,
            rollback=rollback,
        )
        record = ChampionRecord(
            model=run.record.model,
            run_id=change.run_id,
            model_sha256=change.model_sha256,
            promoted=change.promoted,
            previous=change.previous,
            anchor=self._anchor(run, evaluation.accuracy, previous),
            by=by,
            reason=reason,
            previous_anchor=previous.anchor if previous else "",
            history=[*(previous.history if previous else []), change],
        )
        self.store.put_record(
            self._key(record.model), record, if_match=current[1] if current else None, create=current is None
        )
        return record

    def promote_by_hand(self, run: Run, by: str, reason: str) -> ChampionRecord:
        """Puts a run's model into service, whatever the gate has said.

        Raises:
            CatwalkError: it is in service already, or its model can't be verified.
        """
        while True:
            current = self.get(run.record.model)
            if current and current[0].run_id == run.run_id:
                raise CatwalkError(f"run {run.run_id} is the champion already")
            try:
                return self.promote(run, current, by, reason)
            except PreconditionFailedError:
                continue  # somebody else promoted in between: replace that one

    def rollback(self, model: str, by: str, reason: str) -> ChampionRecord:
        """Puts back what the champion replaced when it was promoted; again goes one further back.

        Raises:
            CatwalkError: there is no champion, or nothing before it.
        """
        while True:
            current = self.get(model)
            if current is None:
                raise CatwalkError(f"{model} has no champion, so there is nothing to roll back")
            target = _replaced(current[0])
            if not target:
                raise CatwalkError(f"run {current[0].run_id} is the first champion of {model}: nothing was before it")
            try:
                return self.promote(Run(self.store, target), current, by, reason, rollback=True)
            except PreconditionFailedError:
                continue

    def _anchor(self, run: Run, accuracy: float, previous: ChampionRecord | None) -> str:
        """The most accurate model ever promoted that is still there, so that small losses can't add up unseen.

        A lost one would make the gate hold every run from now on.
        """
        if previous and previous.anchor:
            anchor = Run(self.store, previous.anchor)
            evaluation = anchor.evaluation()
            if evaluation and evaluation.accuracy >= accuracy and _is_whole(anchor):
                return previous.anchor
        return run.run_id


def _replaced(champion: ChampionRecord) -> str:
    """What the champion replaced when it was last promoted other than by a rollback; empty: nothing."""
    promotions = [change for change in champion.history if change.run_id == champion.run_id and not change.rollback]
    return promotions[-1].previous if promotions else champion.previous


def verified_model(run: Run) -> bytes:
    """A run's model as safetensors bytes.

    Raises:
        ArtifactError: it is missing, or its sha256 is not the one that was recorded when it was trained and tested.
    """
    training, evaluation = run.training(), run.evaluation()
    if training is None or not training.finished:
        raise ArtifactError(f"run {run.run_id} has no finished model")
    try:
        body = run.store.get(run.key("model.safetensors")).body
    except NotFoundError:
        raise ArtifactError(f"the model of run {run.run_id} is missing from the store; {_REMEDY}") from None
    found = hashlib.sha256(body).hexdigest()
    recorded = {training.model_sha256} | ({evaluation.model_sha256} if evaluation else set())
    if recorded != {found}:
        raise ArtifactError(
            f"the model of run {run.run_id} is not the one that was recorded (sha256 {found[:12]}…, not "
            f"{training.model_sha256[:12]}…): it was changed or damaged and is not loaded; {_REMEDY}"
        )
    return body


def _is_whole(run: Run) -> bool:
    try:
        verified_model(run)
    except ArtifactError:
        return False
    return True


def load_model(run: Run) -> Perceptron:
    """A run's network, verified before anything is read from it; see :func:`verified_model`."""
    from ml.training import load_network

    return load_network(run.record.config, verified_model(run))
