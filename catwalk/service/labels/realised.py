"""Joins labels to the log of a service, and says how well each version did, by day and by window."""

from __future__ import annotations

from dataclasses import replace

from catwalk.errors import NotFoundError, PreconditionFailedError
from catwalk.ledger.models import realised as records
from catwalk.ledger.models import watched
from catwalk.ledger.records.realised import DayRecord, RealisedRecord
from catwalk.service.labels import checkpoint, increments
from catwalk.service.labels.checkpoint import Findings
from catwalk.service.labels.figures import windows
from catwalk.storage.store import Store
from catwalk.storage.swap import swap

_MOST_DAYS = 366
"""That are kept when their predictions are gone from the ledger."""


def join(store: Store, model: str, now: float) -> RealisedRecord:
    """Joins all labels that the ledger has of a model to its predictions, and stores what that says.

    However often it is done, and in whatever order labels and predictions have come, the outcome is the same. A day of
    which predictions were pruned keeps the figures that it had, whatever is left of it or comes late. Two joins at once
    lose nothing: the one that comes second reads again.

    Args:
        store: The ledger.
        model: Any name that the model has or had.
        now: Unix time.

    Raises:
        NotFoundError: No prediction of the model was ever logged.
        StoreError: The ledger can't be read or written.
    """
    return swap(f"the realised metrics of {model}", lambda: _once(store, model, now))


def _once(store: Store, model: str, now: float) -> RealisedRecord:
    names = watched.lineage(store, model)
    before = [records.current(store, name) for name in names]  # first, so that a join that writes after this is seen
    if watched.lineage(store, model) != names:
        raise PreconditionFailedError(f"{model} was renamed meanwhile")
    known = checkpoint.find(store, names)
    made = increments.advanced(store, names, known)
    former = [record for record, _ in before if record]
    if not made.findings.headers and not former:
        raise NotFoundError(f"no prediction of {model} is in the ledger; its service logs them with log=FOLDER")
    record = _record(names[0], made.findings, now)
    for one in former:
        record = _with_old(record, one, now)
    records.replace_all(store, names, record, before)
    if made is not known:
        checkpoint.keep(store, names, made)
    return record


def _record(model: str, found: Findings, now: float) -> RealisedRecord:
    shown = windows(found.days, found.metric, found.goal, now)
    counts = {name: found.counts.get(name, 0) for name in increments.COUNTED}
    return RealisedRecord(model, found.metric, found.goal, found.days, shown, counts, found.received, now)


def _with_old(made: RealisedRecord, before: RealisedRecord, now: float) -> RealisedRecord:
    """Returns the record with days whose predictions are gone, and with the time of labels that are gone."""
    found: dict[tuple[str, str], DayRecord] = {(day.day, day.version): day for day in before.days}
    for day in made.days:
        old = found.get((day.day, day.version))
        if old is None or day.served >= old.served:
            found[day.day, day.version] = day
    days = [found[each] for each in sorted(found)]
    if not made.days and before.days:
        made = replace(made, metric=before.metric, goal=before.goal)
    received = max(made.received or 0.0, before.received or 0.0) or None
    kept = sorted({day.day for day in days})[-_MOST_DAYS:]
    days = [day for day in days if day.day in kept]
    return replace(made, days=days, received=received, windows=windows(days, made.metric, made.goal, now))
