"""The baseline that a version gets of its first full days in service, unless an alert says that they were not well.

Whether it gets one is decided once, and the ledger says so: either there is the baseline, or the reason why there is
none. Any number of processes may try; one of them decides.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from catwalk.errors import NotFoundError, PreconditionFailedError
from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import DeclinedRecord, ReferenceRecord
from catwalk.ledger.runs import Run
from catwalk.service import reference as references
from catwalk.service import shift
from catwalk.service.baseline import alerts, recorded
from catwalk.service.baseline.making import made
from catwalk.storage.store import Store

DAYS = 4 * 7
_HINDSIGHT = recorded.DAY
"""Seconds to wait after the last of these days: what was wrong on it may raise an alert a day later."""
Outcome = ReferenceRecord | DeclinedRecord


def decide(store: Store, model: str, now: float) -> Outcome | None:
    """Makes the baseline of a model's version in service, or records why it gets none, and returns what was stored.

    Args:
        store: The ledger.
        model: The model's name today.
        now: Unix time.

    Returns:
        None if there is nothing to decide: the model has no champion, the champion has no reference or a baseline
        already, it was decided before, or too few full days are recorded yet.

    Raises:
        StoreError: The ledger can't be read or written, or a record of the champion is damaged.
        PrometheusError: Prometheus does not answer.
    """
    current = Champions(store).find(model)
    if current is None or now - current[0].promoted < DAYS * recorded.DAY + _HINDSIGHT:
        return None
    run = Run(store, current[0].run_id)
    if any(store.exists(run.key(name)) for name in (references.BASELINE, references.DECLINED)):
        return None
    try:
        tested = references.of_run(run)
    except NotFoundError:
        return None
    outcome = _outcome(tested, watched.lineage(store, model), current[0].promoted, now)
    if outcome is None:
        return None
    name = references.BASELINE if isinstance(outcome, ReferenceRecord) else references.DECLINED
    with suppress(PreconditionFailedError):  # another process or a person was faster
        store.put_record(run.key(name), outcome, create=True)
        return outcome
    return None


def _outcome(tested: ReferenceRecord, names: list[str], since: float, now: float) -> Outcome | None:
    firing = alerts.firing(names, tested.run_id, since, now)
    try:
        found = recorded.first(tested, names, DAYS, firing.begin(since), now - _HINDSIGHT)
        if found is None:
            return None
        baseline = replace(made(tested, found, shift.FLOOR), by="", created=now)
    except recorded.UnfitError as error:
        return DeclinedRecord(tested.run_id, str(error), [], now)
    worrying = firing.among([*found.days, recorded.day_after(found.days[-1])])
    if not worrying:
        return baseline
    reason = ", ".join(f"{alert} was firing on {_listed(days)}" for alert, days in worrying.items())
    return DeclinedRecord(tested.run_id, reason, found.days, now)


def _listed(days: list[str]) -> str:
    return f"{days[0]} and {len(days) - 1} more of these days" if days[1:] else days[0]
