"""The champion: the version of a model that is in service. One object a model, changed by compare-and-swap only."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass

from catwalk.errors import ArtifactError, CatwalkError, DamagedError
from catwalk.ledger.records import ChampionRecord, PromotionRecord, is_finite
from catwalk.ledger.runs import Run
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

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
        """The champion and the ETag to replace it by, or None while there is none.

        Raises:
            DamagedError: the record is no champion; the message says what to do.
        """
        try:
            return self.store.find_record(ChampionRecord, self._key(model))
        except DamagedError as error:
            raise DamagedError(
                f"{error}; restore it from a backup, or delete it and `catwalk promote RUN` the run that was in service"
            ) from error

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

        def step() -> ChampionRecord:
            current = self.get(run.record.model)
            if current and current[0].run_id == run.run_id:
                raise CatwalkError(f"run {run.run_id} is the champion already")
            return self.promote(run, current, by, reason)

        return swap(_named(run.record.model), step)

    def rollback(self, model: str, by: str, reason: str) -> ChampionRecord:
        """Puts back what the champion replaced when it was promoted; again goes one further back.

        Raises:
            CatwalkError: there is no champion, or nothing before it.
        """

        def step() -> ChampionRecord:
            current = self.get(model)
            if current is None:
                raise CatwalkError(f"{model} has no champion, so there is nothing to roll back")
            target = _replaced(current[0])
            if not target:
                raise CatwalkError(f"run {current[0].run_id} is the first champion of {model}: nothing was before it")
            return self.promote(Run(self.store, target), current, by, reason, rollback=True)

        return swap(_named(model), step)

    def _anchor(self, run: Run, accuracy: float, previous: ChampionRecord | None) -> str:
        """The most accurate model ever promoted that is still there, so that small losses can't add up unseen.

        A lost one would make the gate hold every run from now on.
        """
        if previous and previous.anchor:
            with suppress(DamagedError):  # an anchor that nobody can compare with would hold every run from now on
                anchor = Run(self.store, previous.anchor)
                evaluation = anchor.evaluation()
                if evaluation and _holds(evaluation.accuracy, accuracy) and _is_whole(anchor):
                    return previous.anchor
        return run.run_id


def _holds(anchor: float, accuracy: float) -> bool:
    """Whether an anchor's accuracy stands against a new one; NaN, which is neither more nor less, never wins."""
    return is_finite(anchor) and not accuracy > anchor


def _named(model: str) -> str:
    return f"the champion of {model}"


def _replaced(champion: ChampionRecord) -> str:
    """What the champion replaced when it was last promoted other than by a rollback; empty: nothing."""
    promotions = [change for change in champion.history if change.run_id == champion.run_id and not change.rollback]
    return promotions[-1].previous if promotions else champion.previous


def in_service(run: Run) -> ChampionRecord | None:
    """The champion, if it is this run; a record that is damaged names nobody."""
    with suppress(DamagedError):
        current = Champions(run.store).get(run.record.model)
        if current and current[0].run_id == run.run_id:
            return current[0]
    return None


def champion_weights(store: Store, champion: ChampionRecord) -> bytes:
    """The model in service as safetensors bytes, verified by the champion's own record: that of its run may be damaged.

    Raises:
        ArtifactError: it is missing, or its sha256 is not the one that was promoted.
    """
    return _verified(Run(store, champion.run_id), {champion.model_sha256})


def verified_model(run: Run) -> bytes:
    """A run's model as safetensors bytes.

    Raises:
        ArtifactError: it is missing, or its sha256 is not the one that was recorded when it was trained and tested.
        DamagedError: the record of its training or test is damaged.
    """
    training, evaluation = run.training(), run.evaluation()
    if training is None or not training.finished:
        raise ArtifactError(f"run {run.run_id} has no finished model")
    return _verified(run, {training.model_sha256} | ({evaluation.model_sha256} if evaluation else set()))


def _verified(run: Run, recorded: set[str]) -> bytes:
    stored = run.store.find(run.key("model.safetensors"))
    if stored is None:
        raise ArtifactError(f"the model of run {run.run_id} is missing from the store; {_REMEDY}")
    found = hashlib.sha256(stored.body).hexdigest()
    if recorded != {found}:
        raise ArtifactError(
            f"the model of run {run.run_id} is not the one that was recorded (sha256 {found[:12]}…, not "
            f"{', '.join(f'{sha256[:12]}…' for sha256 in sorted(recorded))}): it was changed or damaged and is not "
            f"loaded; {_REMEDY}"
        )
    return stored.body


def _is_whole(run: Run) -> bool:
    try:
        verified_model(run)
    except ArtifactError:
        return False
    return True
