"""Reads new labels and predictions, and the earlier ones whose figures they may change.

Hashes of ids tell which days new labels belong to, and which labels the ids of a day have. So the days whose figures
may change are read whole, with all labels of their ids. The figures of the other days stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, partial

import numpy as np

from catwalk.errors import PreconditionFailedError
from catwalk.problems import described
from catwalk.problems.interface import Problem
from catwalk.service.labels import checkpoint, stored
from catwalk.service.labels.checkpoint import Checkpoint, Findings, Hashes
from catwalk.service.labels.figures import figures, of_run, stated
from catwalk.service.labels.stored import Joined, Known
from catwalk.service.log.shipping import LABELS, PREDICTIONS
from catwalk.storage.store import Store

OfRun = Callable[[str], Problem | None]
"""Returns the problem of a version's run, which it reads once; None if it has none."""
COUNTED = ("conflicting", "joined", "repeated", "revised", "served_twice", "unknown", "unreadable")


def advanced(store: Store, names: Sequence[str], known: Checkpoint) -> Checkpoint:
    """Returns a checkpoint that has read all segments; the same one if it has read them before.

    Args:
        store: The ledger.
        names: All names of the model, today's first.
        known: What was read before; if some of that is gone or has changed, everything is read again.

    Raises:
        PreconditionFailedError: Segments were removed at this moment; try again.
        StoreError: The ledger can't be read.
    """
    listed = stored.segments(store, LABELS, names) | stored.segments(store, PREDICTIONS, names)
    of_version: OfRun = cache(partial(of_run, store))
    problems = _problems(of_version, known.findings.headers)
    if not known.is_part_of(listed) or {each: repr(of) for each, of in problems.items()} != known.findings.problems:
        known = Checkpoint()
    new = {key: etag for key, etag in listed.items() if key not in known.etags}
    if not new:
        return known
    hashed: dict[str, set[int]] = {}
    if not known.etags:
        return _grown(store, of_version, known, new, listed, hashed, lambda _: True)
    for key, _, lines in stored.read(store, new):
        hashed[key] = stored.hashes(key, lines)
    days, wanted = _touched(known, hashed)
    again = {key for key in known.with_ids(wanted) if stored.is_labels(key)}
    again |= {key for key in known.etags if not stored.is_labels(key) and stored.day_of(key) in days}
    keys = [key for key in listed if key in new or key in again]
    among = set(wanted.tolist())
    return _grown(store, of_version, known, new, keys, hashed, lambda id_: stored.hash_of(id_) in among)


def _touched(known: Checkpoint, hashed: Mapping[str, set[int]]) -> tuple[set[str], Hashes]:
    """Returns the days of predictions whose figures new segments may change, and all ids that count in these.

    They are whole: no id of such a day is on another day, too.
    """
    days = {stored.day_of(key) for key in hashed if not stored.is_labels(key)}
    wanted = np.unique(np.fromiter((each for found in hashed.values() for each in found), np.uint64))
    done: set[str] | None = None
    while done != days:
        done = set(days)
        old = (key for key in known.etags if not stored.is_labels(key) and stored.day_of(key) in days)
        wanted = np.union1d(wanted, known.ids(old))
        days |= {stored.day_of(key) for key in known.with_ids(wanted) if not stored.is_labels(key)}
    return days, wanted


def _grown(
    store: Store,
    of_version: OfRun,
    known: Checkpoint,
    new: Mapping[str, str],
    keys: Collection[str],
    hashed: dict[str, set[int]],
    is_wanted: Callable[[str], bool],
) -> Checkpoint:
    """Returns a checkpoint with the new segments.

    Args:
        store: The ledger.
        of_version: Reads the problem of a version.
        known: What was read before.
        new: Key → ETag of segments that it lacks.
        keys: What to read: these, and the old ones that they are joined with; labels first.
        hashed: Key → hashes of the ids in a new segment, as far as they are known.
        is_wanted: Whether an id's labels count; all their predictions are read.
    """
    before, after, read = Joined(), Joined(), set[str]()
    for key, header, lines in stored.read(store, keys):
        read.add(key)
        for joined in (after,) if key in new else (before, after):
            if stored.is_labels(key):
                joined.add_labels(lines, is_wanted)
            else:
                joined.add_predictions(key, header, lines)
        if key in new and key not in hashed:
            hashed[key] = stored.hashes(key, lines)
    if any(key not in read for key in keys if key not in new):
        raise PreconditionFailedError("segments were removed meanwhile")
    added = {key: (etag, hashed[key]) for key, etag in new.items() if key in read and key in hashed}
    return known.grown(added, _merged(of_version, known.findings, before, after))


def _merged(of_version: OfRun, known: Findings, before: Joined, after: Joined) -> Findings:
    """Returns the findings with what has been read again in place of what it said before."""
    first = {version: (known.first_keys[version], header) for version, header in known.headers.items()}
    for version, (key, header) in after.log.headers.items():
        if version not in first or stored.place_of(key) < stored.place_of(first[version][0]):
            first[version] = key, header
    first = dict(sorted(first.items(), key=lambda one: stored.place_of(one[1][0])))
    headers = {version: header for version, (_, header) in first.items()}
    problems = _problems(of_version, headers)
    days, counts = figures(after, problems)
    again = {(day.day, day.version): day for day in days}
    found = {(day.day, day.version): day for day in known.days} | again
    total = Counter(known.counts)
    total.update(counts)
    total.subtract(figures(before, problems)[1])
    return Findings(
        [found[each] for each in sorted(found)],
        {name: total[name] for name in COUNTED},
        {version: key for version, (key, _) in first.items()},
        headers,
        {version: repr(of) for version, of in problems.items()},
        *_headline(list(problems.values())),
        max(known.received or 0.0, after.known.received or 0.0) or None,
    )


def _headline(problems: Sequence[Problem]) -> tuple[str, str]:
    """Returns the name and the goal of the latest version's headline."""
    found = (problems[-1] if problems else described({"kind": "multiclass"})).metrics[0]
    return found.name, found.goal


def _problems(of_version: OfRun, headers: Mapping[str, Mapping[str, object]]) -> dict[str, Problem]:
    return {version: of_version(version) or stated(header) for version, header in headers.items()}


def known_labels(store: Store, names: Sequence[str], ids: Iterable[str]) -> Known:
    """Returns the labels that the ledger has of some ids.

    Args:
        store: The ledger.
        names: All names of the model, today's first.
        ids: The ids of predictions.

    Raises:
        StoreError: The ledger can't be read.
    """
    listed, known, asked = stored.segments(store, LABELS, names), checkpoint.find(store, names), set(ids)
    old = [key for key in listed if known.etags.get(key) == listed[key]]
    with_them = set(known.with_ids(checkpoint.of_ids(asked)))
    joined = Joined()
    for _, _, lines in stored.read(store, [key for key in listed if key in with_them or key not in old]):
        joined.add_labels(lines, asked.__contains__)
    return joined.known
