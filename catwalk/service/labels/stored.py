"""Labels and predictions as the ledger stores them, and what they are when joined.

A segment never changes once it is stored. Both kinds lie under the name that the model had at the time.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from catwalk.ledger.model_names import spelling
from catwalk.service.log import lines
from catwalk.service.log.lines import Label, Tally
from catwalk.service.log.shipping import LABELS, PREDICTIONS
from catwalk.storage.store import Store

Line = dict[str, Any]


@dataclass
class Known:
    """All labels of a model, with the one that counts for each id."""

    labels: dict[str, tuple[float, str | None]] = field(default_factory=dict)
    """id → since when, and what; None: two that contradict each other hold since the same moment."""
    counts: Counter[str] = field(default_factory=Counter)
    """Repeated, revised and unreadable ones."""
    received: float | None = None
    """Unix time of the last one."""

    def add(self, label: Label) -> None:
        """Adds a label; the outcome does not depend on the order."""
        self.received = max(self.received or 0.0, label.received)
        before = self.labels.get(label.id)
        if before is None or label.time > before[0]:
            self.labels[label.id] = label.time, label.value
        elif label.time == before[0] and label.value != before[1]:
            self.labels[label.id] = label.time, None
        if before is not None:
            self.counts["repeated" if before[1] == label.value else "revised"] += 1

    def is_news(self, label: Label, timed: bool) -> bool:
        """Returns whether it says anything that is not known.

        Args:
            label: Holds from now on unless it is timed.
            timed: Whether the label was given with its time; only such a label can resolve a contradiction.
        """
        since, value = self.labels.get(label.id, (-1.0, None))
        if since < 0:
            return True
        if value is None or not timed:
            return (timed and label.time > since) or (value is not None and value != label.value)
        return value != label.value and label.time >= since

    @property
    def conflicting(self) -> int:
        """The number of ids whose labels contradict each other."""
        return sum(value is None for _, value in self.labels.values())


@dataclass(frozen=True)
class Served:
    """A prediction that has a label."""

    time: float
    version: str
    day: str
    answer: Any


@dataclass
class Log:
    """What the prediction log of a model says."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    """Version and day → what the service has counted."""
    logged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Version and day → predictions that are there."""
    headers: dict[str, tuple[str, Line]] = field(default_factory=dict)
    """Version → the key of its first segment, and that segment's first line."""
    labelled: dict[str, Served] = field(default_factory=dict)
    """id → its prediction, the first one if there are several."""
    served_twice: int = 0
    """Predictions with a label that have the id of an earlier one."""
    damaged: int = 0
    """Lines, or whole segments, that can't be read."""


@dataclass
class Joined:
    """Labels, and the predictions that they are of. All segments of labels are added before those of predictions."""

    known: Known = field(default_factory=Known)
    log: Log = field(default_factory=Log)

    def add_labels(self, found: Iterable[Line | None], is_wanted: Callable[[str], bool]) -> None:
        """Adds the lines of a segment of labels, as far as their ids are wanted."""
        for line in found:
            label = as_label(line)
            if label is None:
                self.known.counts["unreadable"] += 1
            elif is_wanted(label.id):
                self.known.add(label)

    def add_predictions(self, key: str, header: Line, found: Iterable[Line | None]) -> None:
        """Adds a segment of predictions; those without a label are only counted."""
        version = header.get("version")
        if not isinstance(version, str) or header.get("day") != day_of(key):
            self.log.damaged += 1
            return
        self.log.headers.setdefault(version, (key, header))
        _read(self.log, version, day_of(key), found, self.known)


def segments(store: Store, kept: str, names: Sequence[str]) -> dict[str, str]:
    """Returns key → ETag of the segments of predictions or of labels, in the order of their days.

    Args:
        store: The ledger.
        kept: `PREDICTIONS` or `LABELS`.
        names: All names of the model.
    """
    found = [entry for name in names for entry in store.list(f"{kept}{spelling(name)}/")]
    return {entry.key: entry.etag for entry in sorted(found, key=lambda entry: place_of(entry.key))}


def place_of(key: str) -> tuple[str, str]:
    """Returns what segments are sorted by, whatever name they lie under: the day, then the rest of the key."""
    return day_of(key), key


def day_of(key: str) -> str:
    """Returns the day of a segment; ``predictions/churn/2026-11-27/….jsonl.gz`` has its day."""
    return key.split("/")[-2]


def read(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, Line, list[Line | None]]]:
    """Returns key, first line and other lines of each segment that is still there; None: a damaged line.

    Raises:
        StoreError: The store can't be read.
    """
    for key in keys:
        found = store.find(key)
        if found is None:  # pruned meanwhile
            continue
        try:
            head, *others = lines.decoded(gzip.decompress(found.body))
        except (OSError, EOFError, ValueError, zlib.error):
            head, others = None, []
        yield key, head or {}, others


def header(store: Store, names: Sequence[str]) -> Line | None:
    """Returns the first line of a segment of predictions, or None if there is none that can be read."""
    for _, head, _ in read(store, segments(store, PREDICTIONS, names)):
        if isinstance(head.get("version"), str):
            return head
    return None


def is_labels(key: str) -> bool:
    """Returns whether a segment holds labels; the others hold predictions."""
    return key.startswith(LABELS)


def hash_of(id_: str) -> int:
    """Returns 64 bits by which a segment that has an id is found. They may be those of another id, too."""
    return int.from_bytes(hashlib.blake2b(id_.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def hashes(key: str, found: Iterable[Line | None]) -> set[int]:
    """Returns the hashes of the ids in a segment."""
    if is_labels(key):
        return {hash_of(label.id) for label in map(as_label, found) if label}
    return {hash_of(line["id"]) for line in found if line and isinstance(line.get("id"), str)}


def as_label(line: Line | None) -> Label | None:
    """Returns the label that a line holds, or None if it holds none."""
    try:
        assert line
        found = Label(line["id"], line["label"], float(line["time"]), float(line["received"]))
    except (AssertionError, KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found.id, str) and isinstance(found.value, str) else None


def _read(log: Log, version: str, day: str, found: Iterable[Line | None], wanted: Known) -> None:
    last = Tally()
    for line in found:
        try:
            last = Tally(*map(int, line["tally"])) if line else last
            if line and "id" in line:
                log.logged[version, day] += 1
                if line["id"] in wanted.labels:
                    _match(log, line["id"], Served(float(line["time"]), version, day, line.get("answer")))
            log.damaged += line is None
        except (KeyError, TypeError, ValueError):
            log.damaged += 1
    so_far = log.tallies.setdefault((version, day), Tally())
    for name, number in vars(last).items():
        setattr(so_far, name, getattr(so_far, name) + number)


def _match(log: Log, id_: str, served: Served) -> None:
    before = log.labelled.get(id_)
    log.served_twice += before is not None
    if before is None or (served.time, served.version) < (before.time, before.version):
        log.labelled[id_] = served
