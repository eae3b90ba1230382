"""The beginning of a run: its record, which fixes its configuration."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from catwalk.environment import versions
from catwalk.errors import ConfigError
from catwalk.gate.limits import Threshold, of_alerts
from catwalk.knobs import Config
from catwalk.ledger import model_names
from catwalk.ledger.models.overview import PIPELINE
from catwalk.ledger.models.watched import note_limits, with_limits
from catwalk.ledger.records.retraining import RequestRecord
from catwalk.ledger.records.run import RunRecord, Trigger
from catwalk.ledger.records.training import MOST_PLANNED_EPOCHS
from catwalk.ledger.runs import Ledger, Run, seed_of
from catwalk.replay.room import with_room
from catwalk.stages.lifecycle import provenance
from catwalk.telemetry.observer import Observer
from catwalk.trainable import Dated, Plan, Trainable, find


def open_run(
    ledger: Ledger,
    run_id: str,
    trainable: Trainable,
    config: Config,
    trigger: Trigger,
    dag_id: str = "",
    dag_run_id: str = "",
    sweep: str = "",
    trials: Sequence[Config] = (),
    observer: Observer | None = None,
    schedule: str = "",
    limits: Mapping[str, Threshold] | None = None,
    begins: datetime | None = None,
    request: RequestRecord | None = None,
) -> Run:
    """Writes run.json, or finds the one of an earlier attempt.

    Args:
        ledger: The ledger of the run.
        run_id: The run's id.
        trainable: The Trainable.
        config: The run's configuration, of the Trainable's own class.
        trigger: What started it.
        dag_id: Its DAG, if there is one.
        dag_run_id: Its DAG run.
        sweep: The sweep that this run is a trial of; empty if it is none.
        trials: The configurations of all trials of the sweep.
        observer: The observer of the run; series are reserved if it sends.
        schedule: The DAG's schedule, if its file sets one.
        limits: Limits of alerts (:data:`catwalk.gate.config.LIMITS`), with or without reasons.
        begins: The time that the run is for, the same in every attempt; None means now.
        request: The episode that requested it; None if no alert did.

    Raises:
        ConfigError: The Trainable's plan for this configuration is invalid.
        InputError: A limit is invalid.
        RunConflictError: The run was started with other parameters or by other code.
    """
    thresholds, reasons = of_alerts(limits or {})
    if isinstance(trainable, Dated):
        config = trainable.dated(config, begins or datetime.now(UTC))
    record = _record(run_id, trainable, config, trigger)
    record = replace(record, dag_id=dag_id, dag_run_id=dag_run_id, sweep=sweep, schedule=schedule)
    if request:
        record = replace(record, alert=request.alert, episode=request.number)
    record = with_limits(ledger.store, replace(record, thresholds=thresholds, threshold_reasons=reasons))
    if observer and observer.sends and not ledger.store.exists(ledger.run(run_id).key("run.json")):
        record = with_room(ledger.store, record, [trainable.plan(one).epochs for one in trials or [config]])
    run = ledger.create(record)
    if not run.summary():
        if trigger in PIPELINE:
            note_limits(ledger.store, run.record, bool(thresholds))
        run.update_summary(lambda summary: summary)
    return run


def _record(run_id: str, trainable: Trainable, config: Config, trigger: Trigger) -> RunRecord:
    """The content of run.json, wherever the run is started."""
    plan = _sound(trainable.plan(config), trainable)
    commit, dirty = provenance.git_state(trainable)
    return RunRecord(
        run_id=run_id,
        model=plan.model,
        trigger=trigger,
        config=config.to_dict(),
        seed=seed_of(run_id) if plan.seed is None else plan.seed,
        code_sha256=provenance.code_sha256(trainable),
        created=time.time(),
        synthetic=plan.synthetic,
        classes=list(trainable.problem.classes),
        trainable=trainable.reference,
        defaults=trainable.config().flat(),
        planned_epochs=plan.epochs,
        git_commit=commit,
        git_dirty=dirty,
        versions=versions.installed(),
    )


def _sound(plan: Plan, trainable: Trainable) -> Plan:
    if find(trainable.reference) is not trainable:
        raise ConfigError(f"the Trainable at {trainable.reference} is not the one that has this reference")
    try:
        named = model_names.checked(plan.model)
    except ConfigError as error:
        raise ConfigError(f"{trainable.reference}: {error}") from None
    if not 1 <= plan.epochs <= MOST_PLANNED_EPOCHS:
        raise ConfigError(
            f"{trainable.reference} plans {plan.epochs} epochs; a run can have 1 to {MOST_PLANNED_EPOCHS}"
        )
    if len(trainable.problem.classes) < 2:
        raise ConfigError(f"{trainable.reference} has {len(trainable.problem.classes)} classes; it needs at least two")
    return replace(plan, model=named)
