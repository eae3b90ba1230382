"""The baseline that a person makes of a version's latest days, because the service was well on them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from catwalk.errors import CatwalkError, DamagedError, PreconditionFailedError
from catwalk.ledger.models import watched
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.ledger.runs import Run
from catwalk.service import reference as references
from catwalk.service.baseline import recorded
from catwalk.service.baseline.making import made, was_counted


@dataclass(frozen=True)
class Accepted:
    """A baseline that is stored."""

    record: ReferenceRecord
    holes: list[str]
    """Days that are left out because they were not recorded completely."""
    uncounted: list[str]
    """Features that the service has never counted; they keep the reference of the test."""
    replaced: ReferenceRecord | None
    """The baseline that this version had before."""


def accept(run: Run, days: int, floor: float, by: str, now: float) -> Accepted:
    """Makes the baseline of a version, and stores it with its run. It replaces the one that is there.

    Args:
        run: The run of the version that is in service.
        days: The number of full days in UTC, the last ones before `now`; days with a hole are skipped.
        floor: The smallest shift that matters.
        by: The person who accepts that the service was well on these days.
        now: Unix time.

    Raises:
        InputError: The floor is not valid.
        NotFoundError: The run has no reference, by whose bins the service counts.
        PrometheusError: Prometheus does not answer.
        ConfigError: Prometheus has too little, or other bins.
        CatwalkError: Someone else has accepted a baseline at the same time.
    """
    references.check_floor(floor)
    tested = references.of_run(run)
    names = watched.lineage(run.store, run.record.model)
    etag, before = run.store.etag(run.key(references.BASELINE)), _before(run)
    found = recorded.latest(tested, names, days, now)
    record = replace(made(tested, found, floor), by=by, created=now)
    try:
        before = _put(run, record, etag, before)
    except PreconditionFailedError as error:
        message = f"the baseline of run {run.run_id} has changed in the meantime, so this one is not stored"
        raise CatwalkError(f"{message}; `catwalk reference show {names[0]}` shows it") from error
    uncounted = [
        feature.name for feature, counts in zip(tested.features, found.counts, strict=True) if not was_counted(counts)
    ]
    return Accepted(record, found.holes, uncounted, before)


def _put(run: Run, record: ReferenceRecord, etag: str | None, before: ReferenceRecord | None) -> ReferenceRecord | None:
    """Stores a baseline in place of the one that was read, or of one that was made automatically since then.

    Returns:
        The baseline that it replaces.

    Raises:
        PreconditionFailedError: A person has changed it in the meantime.
    """
    key = run.key(references.BASELINE)
    try:
        run.store.put_record(key, record, if_match=etag, create=etag is None)
    except PreconditionFailedError:
        found = run.store.find_record(ReferenceRecord, key)
        if found is None or found[0].by:
            raise
        before, etag = found
        run.store.put_record(key, record, if_match=etag)
    return before


def _before(run: Run) -> ReferenceRecord | None:
    with suppress(DamagedError):  # then it needs to be replaced
        return references.baseline_of(run)
    return None
