"""Reserves a run's part of the series that Prometheus accepts from all runs, and writes it into the store.

:mod:`catwalk.telemetry.budget` decides how large a part is. It is reserved here by compare-and-swap when a run is
opened or its points are resent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from catwalk.codec import from_json, to_json
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.validation import fault
from catwalk.storage.store import Store
from catwalk.storage.swap import swap
from catwalk.telemetry.budget import OPEN_SECONDS, Part, Parts, given_up, held_on, smallest, taken, taken_again
from catwalk.telemetry.points import series_left_out

log = logging.getLogger(__name__)

KEY = "telemetry/series.json"
RENEWED_SECONDS = OPEN_SECONDS / 4
"""How often, at most, a continuing run renews its part: the store may be unavailable once or twice."""


def with_room(store: Store, run: RunRecord, epochs: Sequence[int]) -> RunRecord:
    """Returns the record of a run that is about to be opened, with its number of series.

    A store that does not answer does not stop the run, which then gets the minimum that always fits.

    Args:
        store: The store of the record.
        run: The record.
        epochs: The planned epochs of each trial of its sweep, 0 if unknown; only the run's own if it is not a trial.
    """
    try:
        granted = take(store, run, len(epochs), max(epochs))
    except Exception as error:
        granted = smallest(run)
        log.warning("only %d series of this run are sent, because their room could not be reserved: %s", granted, error)
    without = 0 if run.metric_series else series_left_out(run.epochs, len(run.classes), granted)
    return replace(run, series_budget=granted, series_left_out=without)


def take(store: Store, run: RunRecord, trials: int, epochs: int, now: float | None = None) -> int:
    """Reserves a part for a run that is being opened, or finds that of its sweep.

    Returns:
        The number of series that the run may have; 0 if not even its test and stages fit. The arguments are those of
        :func:`catwalk.telemetry.budget.taken`.

    Raises:
        StoreError: the store does not answer.
    """
    moment = time.time() if now is None else now
    part = _swap(store, moment, lambda parts: taken(parts, run, trials, epochs, moment))
    return part.each if part else 0


def take_again(store: Store, run: RunRecord, series: int, now: float | None = None) -> bool:
    """Extends a run's part for as long as points sent now stay in statsd_exporter; reserves one if the run has none.

    Returns:
        Whether that many series fit.

    Raises:
        StoreError: the store does not answer.
    """
    moment = time.time() if now is None else now
    return _swap(store, moment, lambda parts: taken_again(parts, run, series, moment)) is not None


def give_up(store: Store, run_id: str, seen: float) -> None:
    """Releases the part of a run that ended silently, and was last seen at this time.

    Raises:
        StoreError: the store does not answer.
    """
    _swap(store, time.time(), lambda parts: given_up(parts, run_id, seen))


@dataclass
class Hold:
    """Renews the part of a run that trains for longer than a part is held."""

    store: Store
    run: RunRecord
    renewed: float = field(default_factory=lambda: time.time())
    """The Unix time at which it was last renewed; 0 if that may be long ago."""

    def renew(self) -> None:
        """Call it at every sign of life of the run; it asks the store twice an hour. Failures don't stop the run."""
        now = time.time()
        if self.run.series_budget is None or now - self.renewed < RENEWED_SECONDS:
            return
        self.renewed = now
        try:
            _swap(self.store, now, lambda parts: held_on(parts, self.run, now))
        except Exception as error:
            log.warning("the room of this run's series could not be renewed: %s", error)


def _swap(store: Store, now: float, change: Callable[[Parts], tuple[str, Part] | None]) -> Part | None:
    """Adds or replaces the part that `change` returns for the held parts; if the write is refused, reads again."""

    def step() -> Part | None:
        parts, etag = _read(store, now)
        made = change(parts)
        if made is None:
            return None
        name, part = made
        store.put(KEY, to_json(Parts({**parts.held, name: part})), if_match=etag, create=etag is None)
        return part

    return swap("the list of series of runs", step)


def _read(store: Store, now: float) -> tuple[Parts, str | None]:
    """Returns the held parts, and the ETag for replacing them; damaged parts are ignored and replaced.

    No part is held for longer than one taken now: the clock may have been ahead when it was taken.
    """
    found = store.find(KEY)
    if found is None:
        return Parts(), None
    try:
        held = from_json(Parts, found.body).held
    except ValueError:
        held = {}
    valid = {name: part for name, part in held.items() if not fault(part) and part.total >= 0 and part.until > now}
    latest = now + OPEN_SECONDS
    return Parts({name: replace(part, until=min(part.until, latest)) for name, part in valid.items()}), found.etag
