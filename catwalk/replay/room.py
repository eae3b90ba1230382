"""Takes a run's part of the series that Prometheus accepts of all runs, and writes it into the store.

How large a part is, :mod:`catwalk.telemetry.budget` says. Whoever opens a run or sends its points again takes it here,
by compare-and-swap.
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
"""How often a run that goes on says so here, at most: the store may be out once or twice."""


def with_room(store: Store, run: RunRecord, epochs: Sequence[int]) -> RunRecord:
    """The record of a run that is about to be opened, with the series that it may make.

    A store that does not answer stops no run here: it then has room for the little that always fits.

    Args:
        store: that the record goes to.
        run: the record.
        epochs: that each trial of its sweep is to train, 0 where that is not known; the run's own alone where it is no
            trial.
    """
    try:
        granted = take(store, run, len(epochs), max(epochs))
    except Exception as error:
        granted = smallest(run)
        log.warning("no more than %d series of this run are sent: their room could not be taken: %s", granted, error)
    without = 0 if run.metric_series else series_left_out(run.epochs, len(run.classes), granted)
    return replace(run, series_budget=granted, series_left_out=without)


def take(store: Store, run: RunRecord, trials: int, epochs: int, now: float | None = None) -> int:
    """Takes a part for a run that is opened, or finds that of its sweep.

    Returns:
        The series that the run may make; 0 where not even its test and stages have room. The arguments are those of
        :func:`catwalk.telemetry.budget.taken`.

    Raises:
        StoreError: the store does not answer.
    """
    moment = time.time() if now is None else now
    part = _swap(store, moment, lambda parts: taken(parts, run, trials, epochs, moment))
    return part.each if part else 0


def take_again(store: Store, run: RunRecord, series: int, now: float | None = None) -> bool:
    """Holds a run's part for as long as what is sent now stays in statsd_exporter; takes one for a run that has none.

    Returns:
        Whether that many series have room.

    Raises:
        StoreError: the store does not answer.
    """
    moment = time.time() if now is None else now
    return _swap(store, moment, lambda parts: taken_again(parts, run, series, moment)) is not None


def give_up(store: Store, run_id: str, seen: float) -> None:
    """Lets go of the part of a run that has ended without a word, and was last seen then.

    Raises:
        StoreError: the store does not answer.
    """
    _swap(store, time.time(), lambda parts: given_up(parts, run_id, seen))


@dataclass
class Hold:
    """Keeps the part of a run that trains for longer than a part is held."""

    store: Store
    run: RunRecord
    renewed: float = field(default_factory=lambda: time.time())
    """Unix time at which it was last held on; 0: that may be long ago."""

    def renew(self) -> None:
        """To be called whenever the run shows that it lives; asks the store twice an hour. What goes wrong stops
        no run."""
        now = time.time()
        if self.run.series_budget is None or now - self.renewed < RENEWED_SECONDS:
            return
        self.renewed = now
        try:
            _swap(self.store, now, lambda parts: held_on(parts, self.run, now))
        except Exception as error:
            log.warning("the room of this run's series could not be kept: %s", error)


def _swap(store: Store, now: float, change: Callable[[Parts], tuple[str, Part] | None]) -> Part | None:
    """Adds or replaces the part that `change` makes of those that are held; who is refused reads again."""

    def step() -> Part | None:
        parts, etag = _read(store, now)
        made = change(parts)
        if made is None:
            return None
        name, part = made
        store.put(KEY, to_json(Parts({**parts.held, name: part})), if_match=etag, create=etag is None)
        return part

    return swap("the list of series that runs may make", step)


def _read(store: Store, now: float) -> tuple[Parts, str | None]:
    """What is held, and the ETag to replace it by; what is damaged counts for nothing and is replaced.

    No part is held for longer than from now: somebody's clock may have been ahead when it was taken.
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
