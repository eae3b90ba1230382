"""Puts models into service: after the gate's decision, by hand, or by a rollback. Each time it chooses the anchor
again. It imports nothing heavy, because the command line also promotes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from catwalk.errors import ArtifactError, CatwalkError, DamagedError
from catwalk.gate.anchor import is_stale, may_replace
from catwalk.ledger.models import artifact
from catwalk.ledger.models.champion import Champions, Current
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.values import is_finite
from catwalk.ledger.runs import Run
from catwalk.problems import described
from catwalk.storage.store import Store
from catwalk.storage.swap import swap
from catwalk.trainable import config_of, of_run

if TYPE_CHECKING:
    from catwalk.gate.decision import Ruling


def promote(
    run: Run, current: Current | None, by: str, reason: str, rollback: bool = False, anchors: bool = False
) -> ChampionRecord:
    """Puts a run's model into service in place of the champion that the decision was made against.

    Args:
        run: The run of the model.
        current: The champion; None if there is none.
        by: Who promotes it.
        reason: Why.
        rollback: Whether it was in service before, and is restored.
        anchors: Whether it becomes the anchor, whatever that was.

    Raises:
        ArtifactError: the model is missing or is not the one that was tested.
        PreconditionFailedError: the champion has changed since `current` was read; decide again.
    """
    model_sha256 = artifact.verify(run)
    anchor = run.run_id if anchors else _anchor(run, current)
    return Champions(run.store).promote(run, model_sha256, current, anchor, by, reason, rollback)


def put_into_place(run: Run, current: Current | None, ruling: Ruling) -> None:
    """Applies the gate's decision: a ship puts the run's model into service, and an eligible run replaces a stale
    anchor. A decision that resumes after an interruption finds it done.

    Raises:
        ArtifactError: the model is missing or is not the one that was tested.
        PreconditionFailedError: the champion has changed since `current` was read; decide again.
    """
    anchors = current is not None and is_stale(ruling.checks) and _may_anchor(run, current[0], ruling.reason)
    if ruling.decision == "ship" and not (current and current[0].run_id == run.run_id):
        promote(run, current, by="gate", reason=ruling.reason, anchors=anchors)
    elif anchors and current and current[0].anchor != run.run_id:
        Champions(run.store).reanchor(run, current)


def _may_anchor(run: Run, champion: ChampionRecord, reason: str) -> bool:
    anchor = Run(run.store, champion.anchor)
    ours, theirs = run.dataset(), anchor.dataset()
    return bool(ours and theirs and may_replace(_as_read(run.record), ours, _as_read(anchor.record), theirs, reason))


def _as_read(record: RunRecord) -> RunRecord:
    """Returns the record with the settings as this version reads them: settings that an older version lacked have
    neutral values.
    """
    try:
        return replace(record, config=config_of(of_run(record), record).to_dict())
    except (CatwalkError, ImportError):
        return record


def promote_by_hand(run: Run, by: str, reason: str) -> ChampionRecord:
    """Puts a run's model into service, whatever the gate has decided.

    Raises:
        CatwalkError: it is in service already, or its model can't be verified.
    """

    def step() -> ChampionRecord:
        current = Champions(run.store).get(run.record.model)
        if current and current[0].run_id == run.run_id:
            raise CatwalkError(f"run {run.run_id} is already the champion")
        return promote(run, current, by, reason)

    return swap(_named(run.record.model), step)


def rollback(store: Store, model: str, by: str, reason: str) -> ChampionRecord:
    """Restores the model that the champion replaced; a second rollback goes one further back.

    Raises:
        CatwalkError: there is no champion, or no earlier one.
    """

    def step() -> ChampionRecord:
        current = Champions(store).get(model)
        if current is None:
            raise CatwalkError(f"{model} has no champion, so there is nothing to roll back")
        target = _replaced(current[0])
        if not target:
            raise CatwalkError(f"run {current[0].run_id} is the first champion of {model}; there is no earlier one")
        return promote(Run(store, target), current, by, reason, rollback=True)

    return swap(_named(model), step)


def _named(model: str) -> str:
    return f"the champion of {model}"


def _replaced(champion: ChampionRecord) -> str:
    """Returns what the champion replaced at its last promotion that was not a rollback; empty if nothing."""
    promotions = [change for change in champion.history if change.run_id == champion.run_id and not change.rollback]
    return promotions[-1].previous if promotions else champion.previous


def _anchor(run: Run, current: Current | None) -> str:
    """Returns the best model ever promoted that still exists, so that small losses can't add up unnoticed."""
    before = current[0].anchor if current else ""
    return before if before and _stands(Run(run.store, before), run) else run.run_id


def _stands(anchor: Run, run: Run) -> bool:
    """Returns whether an anchor stays the anchor when a run is promoted.

    An anchor that can't be compared with would make the gate hold every later run. An accuracy of NaN, which compares
    as neither more nor less, never wins.
    """
    with suppress(DamagedError, ArtifactError):
        best, new = _headlines(anchor, run)
        if is_finite(best) and not (is_finite(new) and new > best):
            artifact.verify(anchor)
            return True
    return False


def _headlines(anchor: Run, run: Run) -> tuple[float | None, float | None]:
    """Returns the headline of both: each in its own test, or, if those have different examples, both in the anchor's
    test, if the run's model can predict it.
    """
    tests = [dataset.files.get("test") if dataset else None for dataset in (anchor.dataset(), run.dataset())]
    if tests[0] != tests[1] and all(tests):
        import numpy as np

        from catwalk.gate.baselines import UnpairedError, on_own_test

        try:
            found = on_own_test(run, anchor)
        except UnpairedError:
            return _headline(anchor), None
        assert found.own is not None
        best, new = (float(np.mean(said == found.own.labels)) for said in (found.predicted, found.own.challenger))
        return best, new
    return _headline(anchor), _headline(run)


def _headline(run: Run) -> float | None:
    """Returns the headline, with a sign such that more is better; accuracy if the run does not record its kind of
    problem.
    """
    evaluation = run.evaluation()
    if evaluation is None or not run.record.problem:
        return evaluation.accuracy if evaluation else None
    metric = described(run.record.problem).metrics[0]
    found = evaluation.scores.get(metric.name)
    return -found if found is not None and metric.goal == "minimize" else found
