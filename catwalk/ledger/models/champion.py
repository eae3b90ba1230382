"""The champion: the version of a model that is in service. One object per model, changed only by compare-and-swap."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from catwalk.errors import ArtifactError, DamagedError, PreconditionFailedError
from catwalk.ledger.model_names import of_key
from catwalk.ledger.models.watched import watched
from catwalk.ledger.records.model import ChampionRecord, PromotionRecord
from catwalk.ledger.runs import Run
from catwalk.storage.store import Store

# A new run alone doesn't help if the champion is lost: the gate holds models that it can't compare.
_REMEDY = "train a new run; if this one is in service, replace it with `catwalk rollback` or `catwalk promote`"


Current = tuple[ChampionRecord, str]
"""The champion, and the ETag for replacing it."""


@dataclass(frozen=True)
class Champions:
    """The champion pointers of a store."""

    store: Store

    @staticmethod
    def _key(model: str) -> str:
        return f"champions/{model}.json"

    def get(self, model: str) -> Current | None:
        """The champion and the ETag for replacing it, under the model's current name; None if there is none.

        Raises:
            DamagedError: The record is damaged; the message says what to do.
        """
        names: list[str] = []
        while model and model not in names:
            found = self.find(model)
            if found:
                return found
            names.append(model)
            known = watched(self.store, model)
            model = known.renamed_to if known else ""
        return None

    def find(self, model: str) -> Current | None:
        """The same, under exactly this name, even if the model was renamed."""
        try:
            return self.store.find_record(ChampionRecord, self._key(model))
        except DamagedError as error:
            raise DamagedError(
                f"{error}; restore it from a backup, or delete it and run `catwalk promote RUN` for the run that was "
                "in service"
            ) from error

    def run_id(self, model: str) -> str:
        """The run whose model is the champion; empty if there is none."""
        found = self.get(model)
        return found[0].run_id if found else ""

    def models(self) -> list[str]:
        """Names of the models that have a champion."""
        return [of_key(entry.key, "champions/") for entry in self.store.list("champions/")]

    def move(self, old: str, new: str) -> None:
        """Moves one model's champion to another model. After an interruption, it completes the rest."""
        found = self.find(old)
        if found:
            with suppress(PreconditionFailedError):
                self.store.put_record(self._key(new), replace(found[0], model=new), create=True)
            self.store.delete(self._key(old))

    def promote(
        self,
        run: Run,
        model_sha256: str,
        current: Current | None,
        anchor: str,
        by: str,
        reason: str,
        rollback: bool = False,
    ) -> ChampionRecord:
        """Puts a run's model into service in place of the champion that the decision was made against.

        Args:
            run: The run of the model.
            model_sha256: The model's verified hash.
            current: The champion; None if there was none.
            anchor: run_id of the new anchor.
            by: Who promotes it.
            reason: The reason.
            rollback: Whether it was in service before and is put back.

        Raises:
            ArtifactError: The model was never tested.
            PreconditionFailedError: The champion has changed since `current` was read; decide again.
        """
        if run.evaluation() is None:
            raise ArtifactError(f"run {run.run_id} was never tested, so its model can't be promoted")
        previous = current[0] if current else None
        left = previous.run_id if previous else ""
        change = PromotionRecord(run.run_id, model_sha256, time.time(), left, by, reason, rollback)
        record = _changed(previous.model if previous else run.record.model, previous, change, anchor)
        self.store.put_record(
            self._key(record.model), record, if_match=current[1] if current else None, create=current is None
        )
        return record

    def reanchor(self, run: Run, current: Current) -> ChampionRecord:
        """Makes a run the anchor, and leaves the champion in service.

        Raises:
            PreconditionFailedError: The champion has changed since `current` was read; decide again.
        """
        record = replace(current[0], anchor=run.run_id, previous_anchor=current[0].anchor)
        self.store.put_record(self._key(record.model), record, if_match=current[1])
        return record


def _changed(model: str, previous: ChampionRecord | None, change: PromotionRecord, anchor: str) -> ChampionRecord:
    return ChampionRecord(
        model=model,
        run_id=change.run_id,
        model_sha256=change.model_sha256,
        promoted=change.promoted,
        previous=change.previous,
        anchor=anchor,
        by=change.by,
        reason=change.reason,
        previous_anchor=previous.anchor if previous else "",
        history=[*(previous.history if previous else []), change],
    )


def in_service(run: Run) -> ChampionRecord | None:
    """The champion, if it is this run; None too if the champion's record is damaged."""
    with suppress(DamagedError):
        current = Champions(run.store).get(run.record.model)
        if current and current[0].run_id == run.run_id:
            return current[0]
    return None


def champion_weights(store: Store, champion: ChampionRecord) -> bytes:
    """The model in service as safetensors bytes, verified with the champion's record, because its run's may be damaged.

    Raises:
        ArtifactError: It is missing, or its sha256 is not the promoted one.
    """
    return _verified(Run(store, champion.run_id), {champion.model_sha256})


def verified_model(run: Run) -> bytes:
    """A run's model as safetensors bytes.

    Raises:
        ArtifactError: It is missing, or its sha256 is not the one that was recorded when it was trained and tested.
        DamagedError: The record of its training or test is damaged.
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
            f"the model of run {run.run_id} differs from its record (sha256 {found[:12]}…, not "
            f"{', '.join(f'{sha256[:12]}…' for sha256 in sorted(recorded))}): it was changed or damaged and is not "
            f"loaded; {_REMEDY}"
        )
    return stored.body
