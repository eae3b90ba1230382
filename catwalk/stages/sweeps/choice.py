"""A sweep's choice: only the best trial by validation is tested."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from catwalk.errors import DamagedError, NoTrialError, PreconditionFailedError
from catwalk.knobs import described
from catwalk.ledger.records.sweep import SweepRecord, TrialRecord
from catwalk.ledger.runs import Ledger, Run
from catwalk.ledger.sweep import chosen, ranked, sweep_key
from catwalk.stages.sweeps.search import Trial

log = logging.getLogger(__name__)


def choice(sweep_id: str, trials: Sequence[TrialRecord], now: float) -> SweepRecord:
    """Chooses among trials that have ended, whatever their outcome.

    Raises:
        NoTrialError: None of them has finished.
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
    """Chooses a sweep's winner and stores the choice. A choice never changes, so that the test split is used only once.

    Args:
        ledger: The ledger with the trials.
        sweep_id: The sweep's id.
        trials: run_id → the knobs that the trial varies, in the order of the plan; a trial may never have been opened.

    Raises:
        NoTrialError: None of the trials has finished.
    """
    record = chosen(ledger.store, sweep_id)
    if record is None:
        found = [_trial(ledger.run(run_id), trial) for run_id, trial in trials.items()]
        record = choice(sweep_id, found, time.time())
        try:
            ledger.store.put_record(sweep_key(sweep_id), record, create=True)
        except PreconditionFailedError:
            record = ledger.store.get_record(SweepRecord, sweep_key(sweep_id))[0]
    for line in standings(record):
        log.info("%s", line)
    return record


def standings(record: SweepRecord) -> list[str]:
    """The trials as lines of text, best first; those without a result last."""
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


def _trial(run: Run, parameters: Trial) -> TrialRecord:
    try:
        training = run.training()
    except DamagedError as error:
        log.warning("%s; choosing among the others", error)
        training = None
    if training is None or not training.finished:
        return TrialRecord(run.run_id, parameters)
    last = training.epochs[-1]
    return TrialRecord(run.run_id, parameters, last.validation_accuracy, last.validation_loss)
