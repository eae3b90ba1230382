"""Every run's summary, and its state at a given time.

Exporter, command line, reports and retention read summaries only through this module: it reports and leaves out a
damaged one, and reads the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter
from typing import TypeGuard

from catwalk.codec import from_json, many_records
from catwalk.environment import variables
from catwalk.ledger import summary_index
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import is_time
from catwalk.ledger.runs import RUN_ID, summary_key
from catwalk.ledger.summary_listing import Etags, SummaryListing
from catwalk.ledger.validation import fault
from catwalk.storage.store import Store, Stored

_READERS = 8
_UNSETTLED = 50
"""Maximum number of running runs that every read checks, wherever they are in the listing: those that changed last."""
STALLED_SECONDS = 600.0
"""Default seconds of silence after which a running run counts as stalled."""
SETTLING_SECONDS = 120.0
"""Seconds from a run's last change until its points are expected in Prometheus."""
WATCHED_SECONDS = 12 * 3600.0
"""Seconds after that change in which they are compared with Prometheus."""


def shown_state(summary: SummaryRecord, now: float, stalled_seconds: float) -> str:
    """The state in the ledger; for a running run that has been silent for too long, ``stalled``, or ``lost`` if it
    should send heartbeats.
    """
    if summary.state != "running" or now - summary.updated <= may_be_silent(summary, stalled_seconds):
        return summary.state
    return "stalled" if summary.lost_after is None else "lost"


def may_be_silent(summary: SummaryRecord, stalled_seconds: float) -> float:
    """Seconds of silence after which a running run counts as stalled, or as lost."""
    if summary.lost_after is not None:
        return summary.lost_after
    return max(stalled_seconds, summary.sweep_wait) if summary.waits_for_others else stalled_seconds


def run_seconds(summary: SummaryRecord, now: float) -> float:
    """Seconds from a run's start to its end, or until now."""
    end = summary.finished or (now if summary.state == "running" else summary.updated)
    return max(0.0, end - summary.started)


def points_are_due(summary: SummaryRecord, now: float) -> bool:
    """Whether a run's points should be in Prometheus by now, and are recent enough to compare."""
    return summary.finished is not None and SETTLING_SECONDS <= now - summary.updated <= WATCHED_SECONDS


def stalled_seconds() -> float:
    """`CATWALK_STALLED_SECONDS`: set it above the longest epoch.

    Raises:
        ConfigError: It is not a positive number.
    """
    return variables.seconds("CATWALK_STALLED_SECONDS", STALLED_SECONDS)


@dataclass
class Summaries:
    """Reads all summaries of a store, with a listing and one GET for each that changed since the last read.

    If many have changed, as for a new reader, :mod:`catwalk.ledger.summary_index` saves most of the GETs. The first
    read lists all summaries; later reads may see changes to old runs some reads later:
    :mod:`catwalk.ledger.summary_listing`.
    """

    store: Store
    damaged: dict[str, str] = field(default_factory=dict)
    """Key → what was wrong with it at the last read."""
    total: int = 0
    """Summaries that the last read found, including unread ones."""
    left_out: int = 0
    """Those of them that were not read, or were deleted before they could be."""
    _listing: SummaryListing = field(init=False, repr=False)
    _cache: dict[str, tuple[str, SummaryRecord | str]] = field(default_factory=dict, repr=False)
    _loose: set[str] = field(default_factory=set, repr=False)
    """Keys that were read one by one since the index was last written."""

    def __post_init__(self) -> None:
        self._listing = SummaryListing(self.store)

    def read(self, newest: int | None = None, one_by_one: int | None = None) -> list[SummaryRecord]:
        """The summaries that can be trusted, oldest run first.

        Args:
            newest: Read only this many of the newest; None reads all.
            one_by_one: Read only this many of the newest summaries that are not in the index, and don't update the
                index; None reads all.

        Raises:
            StoreError: The store could not be read; results of earlier reads stay valid.
        """
        listed = self._listing.read(self._unsettled())
        entries = listed if newest is None else dict([*listed.items()][-newest:])
        changed = {key: etag for key, etag in entries.items() if self._etag(key) != etag}
        indexed = summary_index.read(self.store) if len(changed) >= summary_index.WORTHWHILE else {}
        if one_by_one is not None:
            changed = _with_few_missing(changed, indexed, one_by_one)
        bodies = self._bodies(changed, indexed)
        unchanged = {key: self._cache[key] for key, etag in entries.items() if self._etag(key) == etag}
        with many_records():
            decoded = {key: (stored.etag, _decode(key, stored.body)) for key, stored in bodies.items()}
        self._cache = unchanged | decoded
        self._loose |= {key for key, stored in bodies.items() if indexed.get(key) != stored}
        if one_by_one is None and len(self._loose) >= summary_index.WORTHWHILE:
            self._write_index(listed, bodies)
        self.total, self.left_out = len(listed), len(listed) - len(self._cache)
        self.damaged = {key: found for key, (_, found) in self._cache.items() if isinstance(found, str)}
        trusted = (found for _, found in self._cache.values() if isinstance(found, SummaryRecord))
        return sorted(trusted, key=_age)

    def _unsettled(self) -> list[str]:
        """Keys of running runs, which will change."""
        running = [found for _, found in self._cache.values() if _is_running(found)]
        return [summary_key(run.run_id) for run in nlargest(_UNSETTLED, running, key=attrgetter("updated"))]

    def _etag(self, key: str) -> str:
        """The ETag of the known version; empty if there is none."""
        return self._cache.get(key, ("",))[0]

    def _bodies(self, entries: Etags, known: Mapping[str, Stored]) -> dict[str, Stored]:
        """Key → summary, from `known` if it has the listed ETag, otherwise with a GET each; without deleted ones."""
        bodies = {key: known[key] for key, etag in entries.items() if _is_current(known.get(key), etag)}
        missing = [key for key in entries if key not in bodies]
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            for key, stored in zip(missing, pool.map(self.store.find, missing), strict=True):
                if stored:
                    bodies[key] = stored
        return bodies

    def _write_index(self, listed: Etags, bodies: Mapping[str, Stored]) -> None:
        known = {**summary_index.read(self.store), **bodies}
        summary_index.write(self.store, self._bodies(listed, known))
        self._loose.clear()


def _age(summary: SummaryRecord) -> tuple[str, float, str]:
    """Sorts by the second in a run's id, as listings do, then by its start, because the rest of an id is random."""
    return summary.run_id.partition("-")[0], summary.started, summary.run_id


def _with_few_missing(entries: Etags, known: Mapping[str, Stored], most: int) -> Etags:
    """The entries with at most this many, the newest, of those that would need a GET."""
    missing = [key for key, etag in entries.items() if not _is_current(known.get(key), etag)]
    skipped = set(missing[: max(0, len(missing) - most)])
    return {key: etag for key, etag in entries.items() if key not in skipped}


def _is_current(stored: Stored | None, etag: str) -> bool:
    return stored is not None and stored.etag == etag


def _is_running(found: SummaryRecord | str) -> TypeGuard[SummaryRecord]:
    return isinstance(found, SummaryRecord) and found.state == "running"


def _decode(key: str, body: bytes) -> SummaryRecord | str:
    """The summary, or what is wrong with it."""
    try:
        summary = from_json(SummaryRecord, body)
    except ValueError as error:
        return " ".join(str(error).split())
    wrong = fault(summary)
    if wrong:
        return wrong
    if not all(map(is_time, (summary.started, summary.updated, summary.finished or 0.0))):
        return "started, updated or finished is not a time"
    if not RUN_ID.fullmatch(summary.run_id) or key != summary_key(summary.run_id):
        return "its run_id is not the one in its key"
    return summary
