"""A sweep's choice: the trial that is best by validation, and it alone, goes on to the test split."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from catwalk.errors import DamagedError, NoTrialError, PreconditionFailedError
from catwalk.ledger.records import SummaryRecord, SweepRecord, TrialRecord
from catwalk.ledger.runs import Ledger, Run
from catwalk.stages.search import Trial, described
from catwalk.storage.store import Store

log = logging.getLogger(__name__)

NOT_CHOSEN = "not_chosen"
"""Reason of a trial that has no decision, because another one was better."""


def ranked(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those that have finished, best first: by validation accuracy, then by loss, then in the order of the plan.

    Accuracy comes first since the gate, too, asks which model is right more often.
    """
    finished = [trial for trial in trials if trial.finished]
    return sorted(finished, key=lambda trial: (-(trial.validation_accuracy or 0.0), trial.validation_loss or 0.0))


def choice(sweep_id: str, trials: Sequence[TrialRecord], now: float) -> SweepRecord:
    """Chooses among trials that have ended one way or the other.

    Raises:
        NoTrialError: none of them has finished.
    """
    ranking = ranked(trials)
    if not ranking:
        raise NoTrialError(f"none of the {len(trials)} trials of sweep {sweep_id} has finished; see their own errors")
    best = ranking[0]
    among = f"{len(ranking)} trial{'s' * (len(ranking) != 1)}"
    sentence = f"Best by validation of {among}: accuracy {best.validation_accuracy or 0.0:.2%}"
    if len(ranking) > 1:
        lead = (best.validation_accuracy or 0.0) - (ranking[1].validation_accuracy or 0.0)
        sentence += f", {100 * lead:.2f} points above the next"
    if len(trials) > len(ranking):
        sentence += f"; {len(trials) - len(ranking)} more did not finish"
    return SweepRecord(sweep_id, best.run_id, f"{sentence}.", list(trials), now)


def choose(ledger: Ledger, sweep_id: str, trials: Mapping[str, Trial]) -> SweepRecord:
    """Chooses a sweep's winner and stores the choice. What was chosen once stays: the test split is asked once.

    Args:
        ledger: that holds the trials.
        sweep_id: names the sweep.
        trials: run_id → what sets the trial apart, in the order of the plan; a trial may never have been opened.

    Raises:
        NoTrialError: none of the trials has finished.
    """
    record = chosen(ledger.store, sweep_id)
    if record is None:
        found = [_trial(ledger.run(run_id), trial) for run_id, trial in trials.items()]
        record = choice(sweep_id, found, time.time())
        try:
            ledger.store.put_record(_key(sweep_id), record, create=True)
        except PreconditionFailedError:
            record = ledger.store.get_record(SweepRecord, _key(sweep_id))[0]
    for line in standings(record):
        log.info("%s", line)
    return record


def standings(record: SweepRecord) -> list[str]:
    """The trials as lines of text, best first, those without a result last."""
    lines = [record.sentence]
    ranking = ranked(record.trials)
    for trial in [*ranking, *(trial for trial in record.trials if trial not in ranking)]:
        result = (
            f"accuracy {trial.validation_accuracy or 0.0:.2%}, loss {trial.validation_loss or 0.0:.4f}"
            if trial.finished
            else "did not finish"
        )
        mark = "→" if trial.run_id == record.winner else " "
        lines.append(f"{mark} {trial.run_id}  {result}  {described(trial.parameters)}")
    return lines


def chosen(store: Store, sweep_id: str) -> SweepRecord | None:
    """What a sweep has chosen; None before it has."""
    found = store.find_record(SweepRecord, _key(sweep_id))
    return found[0] if found else None


def winner(ledger: Ledger, sweep_id: str) -> Run:
    """The run that a sweep has chosen.

    Raises:
        NoTrialError: it has not chosen yet.
    """
    record = chosen(ledger.store, sweep_id)
    if record is None:
        raise NoTrialError(f"sweep {sweep_id} has chosen no trial yet; choose comes first")
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
        return f"Not tested: the sweep had chosen {record.winner} before this trial has finished."
    by = "" if best > own else " and no higher loss"
    return (
        f"Not tested: another trial of the sweep was better by validation, {record.winner} with {best:.2%} against "
        f"{own:.2%}{by}."
    )


def forget(store: Store, left: Iterable[str]) -> dict[str, str]:
    """Deletes the choices of sweeps of which no trial is left; returns what is damaged, and stays: key → why.

    Args:
        store: whose sweeps.
        left: run ids of the runs that stay.
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


def waits_for_others(summary: SummaryRecord) -> bool:
    """A trial that is trained and says nothing until all the others are, too: that is no silence to worry about."""
    train = summary.stages.get("train")
    ended = train is not None and train.ended is not None and bool(summary.model_sha256)
    return bool(summary.sweep) and summary.state == "running" and summary.stage == "train" and ended


def _trial(run: Run, parameters: Trial) -> TrialRecord:
    try:
        training = run.training()
    except DamagedError as error:
        log.warning("%s; the choice is among the others", error)
        training = None
    if training is None or not training.finished:
        return TrialRecord(run.run_id, parameters)
    last = training.epochs[-1]
    return TrialRecord(run.run_id, parameters, last.validation_accuracy, last.validation_loss)


def _key(sweep_id: str) -> str:
    return f"sweeps/{sweep_id}.json"
