"""Opens a run for logging: determines which run it is, and writes its configuration."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from catwalk.environment import versions
from catwalk.environment.heartbeats import Heartbeats
from catwalk.errors import CatwalkError, ConfigError, InputError, NotFoundError, shown
from catwalk.gate.limits import Threshold
from catwalk.ledger import model_names
from catwalk.ledger.attempts import begin
from catwalk.ledger.models.watched import check_name, note, with_limits
from catwalk.ledger.records.retraining import ClaimRecord
from catwalk.ledger.records.run import KeyRecord, RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id, seed_of, touched
from catwalk.ledger.summaries import shown_state, stalled_seconds
from catwalk.problems import describe
from catwalk.problems.interface import Problem
from catwalk.redaction import without_credentials
from catwalk.retraining.episodes import asked_for, claim
from catwalk.storage.opening import open_store_or_local
from catwalk.storage.store import Patience, Store
from catwalk.storage.swap import swap
from catwalk.telemetry.emitter import observer_from_environment
from catwalk.telemetry.observer import Observer
from catwalk.telemetry.points import OTHERS
from catwalk.tracking.arguments import plain, settings
from catwalk.tracking.closing import open_key
from catwalk.tracking.handle import TrackedRun, log
from catwalk.tracking.identity import Identity, bystander, identify
from catwalk.tracking.journal import Journal
from catwalk.tracking.session import Session

CLOSE_SECONDS = 60.0
_PATIENCE = Patience(connect_seconds=5, read_seconds=20, tries=2)
"""The store's timeout: shorter than the stages', because the caller's training waits at the start and end of a run."""
open_models: dict[str, int] = {}
"""Model → the process with an open run of it."""
_lock = threading.Lock()


def run(
    model: str,
    problem: Problem,
    *,
    params: Mapping[str, Any] | None = None,
    run_key: str = "",
    every: str = "",
    cron: str = "",
    owner: str = "",
    thresholds: Mapping[str, Threshold] | None = None,
    links: Mapping[str, str] | None = None,
    ship: str = "auto",
    synthetic: bool = False,
    close_timeout: float = CLOSE_SECONDS,
) -> TrackedRun:
    """Opens a run of a model, for ``with catwalk.run(…) as run``; the end of the block decides.

    With `CATWALK_DISABLED=1`, on ranks above 0 and in forked children of a process with an open run, the returned run
    does nothing.

    Args:
        model: Name under which versions compete: letters and digits of any script, single spaces, ``- . _ ( ) + & @``.
        problem: :class:`catwalk.Binary`, :class:`catwalk.Multiclass` or :class:`catwalk.Regression`.
        params: The run's parameters; the first 200 are stored, without anything that looks like a secret.
        run_key: Identifies the run for retries; default: `CATWALK_RUN_KEY`, or Airflow's task instance.
        every: How often a run is due, such as ``24h``.
        cron: When a run is due, as five cron fields, in UTC or followed by an IANA time zone: ``0 3 * * *
            Europe/Berlin``.
        owner: The model's owner.
        thresholds: Metric → the worst value that may ship, with or without a reason, such as ``(0.75, "last year's
            model reached it")``. Also ``margin``, ``significance`` and ``slice_significance``, and limits of alerts
            (:data:`catwalk.gate.config.LIMITS`), such as ``champion_age_seconds``.
        links: Name → URL, http:// or https://, of related pages.
        ship: ``auto`` puts a good model into service if a schedule started the run, or `CATWALK_SHIP=1` is set;
            ``never`` only reports the decision.
        synthetic: Whether the data is synthetic.
        close_timeout: Maximum seconds for the end of the block to store everything.

    Raises:
        InputError: An argument has the wrong type, shape or values.
        ConfigError: A setting is invalid, or the model was renamed.
        RunConflictError: The run was started with other parameters.
        StoreError: The store fails.
    """
    why = "CATWALK_DISABLED=1" if os.environ.get("CATWALK_DISABLED", "").strip() == "1" else bystander()
    _check(problem)
    record = _record(model, problem, params, every, cron, owner, thresholds, links, synthetic)
    identity, close_seconds = identify(run_key, ship), plain.seconds("close_timeout", close_timeout)
    if why or _forked():
        log.info("this run of %s does nothing: %s", record.model, why or "another process has it open")
        return TrackedRun(None)
    _take(record.model)
    try:
        session = _session(record, identity, problem, close_seconds)
    except BaseException:
        release(record.model)
        raise
    return TrackedRun(session)


def _forked() -> bool:
    return any(pid != os.getpid() for pid in [*open_models.values()])  # a copy: other threads open and close models


def _take(model: str) -> None:
    with _lock:
        if model in open_models:
            raise ConfigError(
                f"a run of {model} is already open in this process: close it first; runs of a model can't be nested"
            )
        open_models[model] = os.getpid()


def release(model: str) -> None:
    """Marks the run of a model as closed in this process."""
    with _lock:
        open_models.pop(model, None)


def _record(
    model: str,
    problem: Problem,
    params: Mapping[str, Any] | None,
    every: str,
    cron: str,
    owner: str,
    thresholds: Mapping[str, Threshold] | None,
    links: Mapping[str, str] | None,
    synthetic: bool,
) -> RunRecord:
    """The content of run.json for these arguments, without the run's identity."""
    named, stored = model_names.checked(model), settings.stored_params(params)
    return RunRecord(
        run_id="",
        model=named,
        trigger="cli",
        config={"params": stored} if stored else {},
        seed=0,
        code_sha256="",
        created=time.time(),
        synthetic=plain.truth("synthetic", synthetic),
        classes=list(problem.classes) if problem.kind == "multiclass" else [],  # type: ignore[attr-defined]
        metric_series=OTHERS,
        schedule=settings.schedule(every, cron),
        problem=describe(problem),
        owner=settings.stored_owner(owner),
        links=settings.stored_links(links),
        thresholds=settings.stored_thresholds(thresholds, problem),
        threshold_reasons=settings.stored_reasons(thresholds),
    )


def _check(problem: Any) -> None:
    if isinstance(problem, type) or not isinstance(problem, Problem):
        raise InputError(f"problem: expected catwalk.Binary(), Multiclass() or Regression(); got {shown(problem)}")


def _session(record: RunRecord, identity: Identity, problem: Problem, close_seconds: float) -> Session:
    observer = observer_from_environment()
    heartbeats = Heartbeats.from_environment()
    store = open_store_or_local(observer.store_operation, _PATIENCE)
    check_name(store, record.model)
    run = _opened(store, with_limits(store, record), identity, observer)
    _mark_open(store, record.model, run.run_id)
    headline = problem.metrics[0]
    run.update_summary(
        lambda summary: replace(
            summary,
            headline=headline.name,
            goal=headline.goal,
            lost_after=heartbeats.lost_after_seconds,
            error="",
        )
    )
    begun = begin(run, "train")
    journal = Journal(run, observer, begun.record.number, heartbeats=heartbeats)
    journal.start()
    close_lost(store, record.model, run.run_id)
    if identity.ships:
        note(store, run.record)
    log.info("run %s of %s, attempt %d", run.run_id, record.model, begun.record.number)
    return Session(run, problem, observer, begun, journal, close_seconds, lambda: release(record.model))


def _mark_open(store: Store, model: str, run_id: str) -> None:
    """Marks a run as open, and then checks that its model still has that name. A concurrent rename first records the
    new name and then looks for open runs, so one of the two always sees the other.

    Raises:
        ConfigError: The model was renamed.
    """
    store.put(open_key(model, run_id), b"")
    try:
        check_name(store, model)
    except ConfigError:
        store.delete(open_key(model, run_id))
        raise


def _opened(store: Store, record: RunRecord, identity: Identity, observer: Observer) -> Run:
    found = _claimed(store, record.model, identity.key) if identity.key else KeyRecord("", new_run_id())
    request = asked_for(store, record.model, identity.dag_run_id) if identity.trigger == "manual" else None
    commit, dirty = versions.git_state(Path.cwd())
    whole = replace(
        record,
        git_commit=commit,
        git_dirty=dirty,
        versions=versions.installed(),
        run_id=found.run_id,
        seed=seed_of(found.run_id),
        trigger="alert" if request else identity.trigger,
        alert=request.alert if request else "",
        episode=request.number if request else 0,
        dag_id=identity.dag_id,
        dag_run_id=identity.dag_run_id,
        ships=identity.ships,
        run_key=without_credentials(identity.key),
        generation=found.generation,
        previous_generation=found.previous,
    )
    ledger = Ledger(store)
    if observer.sends and not store.exists(ledger.run(whole.run_id).key("run.json")):
        from catwalk.replay.room import with_room

        whole = with_room(store, whole, [0])
    run = ledger.create(whole)
    if request:  # the first run that logs for the request is the one that is judged
        claim(store, record.model, request.number, ClaimRecord(run.run_id, identity.dag_run_id))
    return run


def _claimed(store: Store, model: str, key: str) -> KeyRecord:
    """The run of a key: the same until it is decided, then a new generation."""
    place = f"run_keys/{model}/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    named = without_credentials(key)

    def step() -> KeyRecord:
        found = store.find_record(KeyRecord, place)
        if found and not store.exists(Run(store, found[0].run_id).key("decision.json")):
            return found[0]
        if found:
            old = found[0]
            made = KeyRecord(named, new_run_id(), old.generation + 1, old.run_id)
        else:
            made = KeyRecord(named, new_run_id())
        store.put_record(place, made, if_match=found[1] if found else None, create=found is None)
        return made

    return swap(f"the run of key {named!r}", step)


def close_lost(store: Store, model: str, own: str) -> None:
    """Marks runs of the model that went silent as lost. An error here never stops a new run."""
    with suppress(CatwalkError):
        for entry in list(store.list(open_key(model, ""))):
            run_id = entry.key.rpartition("/")[2]
            if run_id != own and _lost(Run(store, run_id)):
                store.delete(entry.key)


def _lost(run: Run) -> bool:
    """Whether a run no longer needs its marker: it has ended, or is closed here."""
    try:
        summary = run.summary()
    except NotFoundError:
        return True
    if summary is None or summary.state != "running":
        return True
    from catwalk.replay.room import give_up

    now = time.time()
    if shown_state(summary, now, stalled_seconds()) != "lost":
        return False
    closed = run.update_summary(lambda found: _closed(found, now) if found.updated == summary.updated else found)
    if closed.state == "lost":
        give_up(run.store, run.run_id, summary.updated)
    run.store.delete(run.key("report.html"))  # of an earlier attempt, which had ended
    return True


def _closed(summary: SummaryRecord, now: float) -> SummaryRecord:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(summary.updated))
    error = f"silent since {since}, and closed by the model's next run"
    return touched(replace(summary, state="lost", finished=summary.updated, error=error), now)
