"""A sweep's choice, and why its other trials were not chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from catwalk.errors import DamagedError, NoTrialError
from catwalk.ledger.records.sweep import SweepRecord, TrialRecord
from catwalk.ledger.runs import Ledger, Run
from catwalk.storage.store import Store

NOT_CHOSEN = "not_chosen"
"""Reason for a trial without a decision, because another one was better."""


def ranked(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The finished trials, best first: by validation accuracy, then by loss, then in the order of the plan.

    Accuracy comes first because the gate, too, asks which model is right more often.
    """
    finished = [trial for trial in trials if trial.finished]
    return sorted(finished, key=lambda trial: (-(trial.validation_accuracy or 0.0), trial.validation_loss or 0.0))


def chosen(store: Store, sweep_id: str) -> SweepRecord | None:
    """A sweep's choice; None before it has chosen."""
    found = store.find_record(SweepRecord, sweep_key(sweep_id))
    return found[0] if found else None


def winner(ledger: Ledger, sweep_id: str) -> Run:
    """The run that a sweep has chosen.

    Raises:
        NoTrialError: It has not chosen yet.
    """
    record = chosen(ledger.store, sweep_id)
    if record is None:
        raise NoTrialError(f"sweep {sweep_id} has not chosen a trial yet; run choose first")
    return ledger.run(record.winner)


def passed_over(run: Run) -> str:
    """Why a trained trial is not tested, as a sentence; empty for any other run."""
    if not run.record.sweep:
        return ""
    record, training = chosen(run.store, run.record.sweep), run.training()
    if record is None or record.winner == run.run_id or training is None or not training.finished:
        return ""
    accuracies = {trial.run_id: trial.validation_accuracy for trial in record.trials}
    best, own = accuracies.get(record.winner) or 0.0, training.epochs[-1].validation_accuracy
    if accuracies.get(run.run_id) is None:
        return f"Not tested: the sweep had chosen {record.winner} before this trial finished."
    by = "" if best > (own or 0.0) else " and no higher loss"
    return (
        f"Not tested: another trial of the sweep was better by validation, {record.winner} with {best:.2%} against "
        f"{own or 0.0:.2%}{by}."
    )


def forget(store: Store, left: Iterable[str]) -> dict[str, str]:
    """Deletes the choices of sweeps without remaining trials; returns damaged ones, which are kept: key → why.

    Args:
        store: The store of the sweeps.
        left: Run ids of the remaining runs.
    """
    kept, damaged = set(left), {}
    for entry in list(store.list("sweeps/")):
        try:
            found = store.find_record(SweepRecord, entry.key)
        except DamagedError as error:
            damaged[entry.key] = str(error)
            continue
        if found and kept.isdisjoint(trial.run_id for trial in found[0].trials):
            store.delete(entry.key)
    return damaged


def sweep_key(sweep_id: str) -> str:
    """The key of a sweep's choice."""
    return f"sweeps/{sweep_id}.json"
