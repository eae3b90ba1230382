"""What the ledger has of a service: the labels that came, and the predictions that they are of."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
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
    """All labels of a model, of each id the one that counts."""

    labels: dict[str, tuple[float, str | None]] = field(default_factory=dict)
    """id → since when, and what; None: two that contradict each other hold since the same moment."""
    counts: Counter[str] = field(default_factory=Counter)
    """Repeated, revised and unreadable ones."""
    received: float | None = None
    """Unix time of the last one."""

    def add(self, label: Label) -> None:
        """Takes one more; the outcome does not hang on their order."""
        self.received = max(self.received or 0.0, label.received)
        before = self.labels.get(label.id)
        if before is None or label.time > before[0]:
            self.labels[label.id] = label.time, label.value
        elif label.time == before[0] and label.value != before[1]:
            self.labels[label.id] = label.time, None
        if before is not None:
            self.counts["repeated" if before[1] == label.value else "revised"] += 1

    def is_news(self, label: Label, timed: bool) -> bool:
        """Whether it says anything that is not known.

        Args:
            label: which holds from now on unless it is timed.
            timed: whoever gave it has said since when; only so can a contradiction be resolved.
        """
        since, value = self.labels.get(label.id, (-1.0, None))
        if since < 0:
            return True
        if value is None or not timed:
            return (timed and label.time > since) or (value is not None and value != label.value)
        return value != label.value and label.time >= since

    @property
    def conflicting(self) -> int:
        """Ids whose labels contradict each other."""
        return sum(value is None for _, value in self.labels.values())


@dataclass(frozen=True)
class Served:
    """A prediction that there is a label of."""

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
    headers: dict[str, Line] = field(default_factory=dict)
    """Version → the first line of one of its segments."""
    labelled: dict[str, Served] = field(default_factory=dict)
    """id → its prediction; of several the first one."""
    served_twice: int = 0
    """Predictions with a label that have the id of an earlier one."""
    damaged: int = 0
    """Lines, or whole segments, that can't be read."""


def labels(store: Store, model: str) -> Known:
    """All labels of a model.

    Raises:
        StoreError: the store can't be read.
    """
    known = Known()
    for _, found in _segments(store, LABELS, model):
        for line in found:
            label = _label(line)
            if label is None:
                known.counts["unreadable"] += 1
            else:
                known.add(label)
    return known


def log(store: Store, model: str, wanted: Known) -> Log:
    """The prediction log of a model, with the predictions that there are labels of.

    Raises:
        StoreError: the store can't be read.
    """
    read = Log()
    for header, found in _segments(store, PREDICTIONS, model):
        version, day = header.get("version"), header.get("day")
        if not isinstance(version, str) or not isinstance(day, str):
            read.damaged += 1
            continue
        read.headers.setdefault(version, header)
        _read(read, version, day, found, wanted)
    return read


def days(store: Store, kept: str, model: str) -> dict[str, list[str]]:
    """Day → keys of the segments of a model, of predictions or of labels."""
    prefix = f"{kept}{spelling(model)}/"
    found: dict[str, list[str]] = {}
    for entry in store.list(prefix):
        found.setdefault(entry.key.removeprefix(prefix).split("/")[0], []).append(entry.key)
    return found


def _read(read: Log, version: str, day: str, found: list[Line | None], wanted: Known) -> None:
    last = Tally()
    for line in found:
        try:
            last = Tally(*map(int, line["tally"])) if line else last
            if line and "id" in line:
                read.logged[version, day] += 1
                if line["id"] in wanted.labels:
                    _match(read, line["id"], Served(float(line["time"]), version, day, line.get("answer")))
            read.damaged += line is None
        except (KeyError, TypeError, ValueError):
            read.damaged += 1
    so_far = read.tallies.setdefault((version, day), Tally())
    for name, number in vars(last).items():
        setattr(so_far, name, getattr(so_far, name) + number)


def _match(read: Log, id_: str, served: Served) -> None:
    before = read.labelled.get(id_)
    read.served_twice += before is not None
    if before is None or (served.time, served.version) < (before.time, before.version):
        read.labelled[id_] = served


def _segments(store: Store, kept: str, model: str) -> Iterator[tuple[Line, list[Line | None]]]:
    """The first line of each, and the others; None: a damaged one."""
    for keys in days(store, kept, model).values():
        for key in keys:
            found = store.find(key)
            if found is None:  # pruned meanwhile
                continue
            try:
                head, *others = lines.decoded(gzip.decompress(found.body))
            except (OSError, EOFError, ValueError, zlib.error):
                head, others = None, []
            yield head or {}, others


def _label(line: Line | None) -> Label | None:
    try:
        assert line
        found = Label(line["id"], line["label"], float(line["time"]), float(line["received"]))
    except (AssertionError, KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found.id, str) and isinstance(found.value, str) else None
