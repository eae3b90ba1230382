"""Every run's summary, and what it says at a moment.

Exporter, command line, reports and retention read summaries here alone: a damaged one is named and left out, and the
others are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from catwalk.codec import from_json
from catwalk.environment import variables
from catwalk.ledger import summary_index
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import is_time
from catwalk.ledger.runs import RUN_ID, SUMMARIES, summary_key
from catwalk.ledger.validation import fault
from catwalk.storage.store import Entry, Store, Stored

_READERS = 8
STALLED_SECONDS = 600.0
"""Default for how long a running run may stay silent before it counts as stalled."""
SETTLING_SECONDS = 120.0
"""From a run's last change until its points are expected to be in Prometheus."""
WATCHED_SECONDS = 12 * 3600.0
"""For how long after that change they are compared with what Prometheus holds."""


def shown_state(summary: SummaryRecord, now: float, stalled_seconds: float) -> str:
    """The ledger's state, or for a run that says it runs and has been silent for too long ``stalled``; ``lost``, if it
    was to send heartbeats."""
    if summary.state != "running" or now - summary.updated <= may_be_silent(summary, stalled_seconds):
        return summary.state
    return "stalled" if summary.lost_after is None else "lost"


def may_be_silent(summary: SummaryRecord, stalled_seconds: float) -> float:
    """Seconds of silence after which a running run counts as stalled, or as lost."""
    if summary.lost_after is not None:
        return summary.lost_after
    return max(stalled_seconds, summary.sweep_wait) if summary.waits_for_others else stalled_seconds


def run_seconds(summary: SummaryRecord, now: float) -> float:
    """From a run's start to its end, or until now."""
    end = summary.finished or (now if summary.state == "running" else summary.updated)
    return max(0.0, end - summary.started)


def points_are_due(summary: SummaryRecord, now: float) -> bool:
    """Whether a run's points should be in Prometheus by now, and recently enough to be compared."""
    return summary.finished is not None and SETTLING_SECONDS <= now - summary.updated <= WATCHED_SECONDS


def stalled_seconds() -> float:
    """`CATWALK_STALLED_SECONDS`: set it above the longest epoch.

    Raises:
        ConfigError: it is no positive number.
    """
    return variables.seconds("CATWALK_STALLED_SECONDS", STALLED_SECONDS)


@dataclass
class Summaries:
    """Reads all summaries of a store: one listing, and one GET for each that changed since the last read.

    Where many have changed, as for a reader that knows none yet, :mod:`catwalk.ledger.summary_index` spares most of
    them.
    """

    store: Store
    damaged: dict[str, str] = field(default_factory=dict)
    """Key → what is wrong with it, as of the last read."""
    total: int = 0
    """Summaries that the last read has found, read or not."""
    left_out: int = 0
    """Those of them that were not read, or were gone before."""
    _cache: dict[str, tuple[str, SummaryRecord | str]] = field(default_factory=dict, repr=False)
    _loose: set[str] = field(default_factory=set, repr=False)
    """Keys that were read one by one since the index was last written."""

    def read(self, newest: int | None = None, one_by_one: int | None = None) -> list[SummaryRecord]:
        """The summaries that can be trusted, oldest run first.

        Args:
            newest: read only so many, the newest; None reads all.
            one_by_one: of those that the index does not hold, read only so many, the newest, and leave the index as it
                is; None reads all.

        Raises:
            StoreError: S3 could not be read; what earlier reads gave stays valid.
        """
        listed = list(self.store.list(SUMMARIES))
        entries = listed if newest is None else listed[-newest:]
        changed = [entry for entry in entries if self._etag(entry) != entry.etag]
        indexed = summary_index.read(self.store) if len(changed) >= summary_index.WORTHWHILE else {}
        if one_by_one is not None:
            changed = _with_few_missing(changed, indexed, one_by_one)
        bodies = self._bodies(changed, indexed)
        unchanged = {entry.key: self._cache[entry.key] for entry in entries if self._etag(entry) == entry.etag}
        self._cache = unchanged | {key: (stored.etag, _decode(key, stored.body)) for key, stored in bodies.items()}
        self._loose |= {key for key, stored in bodies.items() if indexed.get(key) != stored}
        if one_by_one is None and len(self._loose) >= summary_index.WORTHWHILE:
            self._write_index(listed, bodies)
        self.total, self.left_out = len(listed), len(listed) - len(self._cache)
        self.damaged = {key: found for key, (_, found) in self._cache.items() if isinstance(found, str)}
        trusted = (found for _, found in self._cache.values() if isinstance(found, SummaryRecord))
        return sorted(trusted, key=_age)

    def _etag(self, entry: Entry) -> str:
        """Of the version that is known; empty: none is."""
        return self._cache.get(entry.key, ("",))[0]

    def _bodies(self, entries: Sequence[Entry], known: Mapping[str, Stored]) -> dict[str, Stored]:
        """Key → summary, from what is known where it has the listed ETag, else by a GET each; without deleted ones."""
        bodies = {entry.key: known[entry.key] for entry in entries if _is_current(known.get(entry.key), entry)}
        missing = [entry for entry in entries if entry.key not in bodies]
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            for entry, stored in zip(missing, pool.map(self._get, missing), strict=True):
                if stored:
                    bodies[entry.key] = stored
        return bodies

    def _write_index(self, listed: Sequence[Entry], bodies: Mapping[str, Stored]) -> None:
        known = {**summary_index.read(self.store), **bodies}
        summary_index.write(self.store, self._bodies(listed, known))
        self._loose.clear()

    def _get(self, entry: Entry) -> Stored | None:
        return self.store.find(entry.key)


def _age(summary: SummaryRecord) -> tuple[str, float, str]:
    """By the second in a run's id, as listings do; within a second by its start, for the rest of an id is random."""
    return summary.run_id.partition("-")[0], summary.started, summary.run_id


def _with_few_missing(entries: Sequence[Entry], known: Mapping[str, Stored], most: int) -> list[Entry]:
    """The entries without those that would need a GET, but for so many, the newest."""
    missing = [entry.key for entry in entries if not _is_current(known.get(entry.key), entry)]
    skipped = set(missing[: max(0, len(missing) - most)])
    return [entry for entry in entries if entry.key not in skipped]


def _is_current(stored: Stored | None, entry: Entry) -> bool:
    return stored is not None and stored.etag == entry.etag


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
        return "started, updated or finished is no time"
    if not RUN_ID.fullmatch(summary.run_id) or key != summary_key(summary.run_id):
        return "its run_id is not the one in its key"
    return summary
