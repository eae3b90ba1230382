"""Takes labels from files and batches, and joins them to the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catwalk.errors import InputError, NotFoundError
from catwalk.ledger import model_names
from catwalk.ledger.models import watched
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.service import reference
from catwalk.service.labels import increments, realised, stored, table
from catwalk.service.log import intake, lines, shipping
from catwalk.service.log.lines import Header, Label
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store

Given = str | Path | Mapping[Any, Any] | Iterable[Sequence[Any]]
"""A file; id → label; or rows of id, label and, if known, time."""


@dataclass(frozen=True)
class Taken:
    """The outcome of storing labels."""

    new: int
    """Stored now."""
    known: int
    """Stored already."""
    waiting: int
    """Rows without a label yet."""
    refused: list[str]
    """A line for each row that is not valid, with its place and what is wrong."""
    realised: RealisedRecord | None
    """What the labels say; None if the ledger has no prediction of the model yet, so that they wait for it."""


def labels(model: str, given: Given, store: Store | None = None) -> Taken:
    """Stores labels in the ledger, and joins them to the predictions that it has of the model.

    All new labels are stored in one object, or none is. Giving labels again is harmless. The outcome names rows
    that are wrong; the others are taken.

    Args:
        model: Its name, or a former one.
        given: A CSV file with the columns ``id``, ``label`` and, optional, ``time``; a mapping id → label; or rows
            (id, label) or (id, label, time), with time in Unix seconds. Without a time, a label holds from now on.
        store: The ledger, by default that of `CATWALK_STORE`.

    Raises:
        InputError: The file has another format, or all its rows are wrong.
        ConfigError: The name of the model is not valid, or `CATWALK_STORE` is unset.
        NotFoundError: The model has neither a champion nor a log that say what its labels are.
        StoreError: The ledger can't be read or written.
    """
    ledger, now = open_store() if store is None else store, time.time()
    names = watched.lineage(ledger, model_names.checked(model))
    name = names[0]
    kind, classes = _asked(ledger, names)
    rows = list(_rows(given))
    known = increments.known_labels(ledger, names, (lines.id_text(row[1]) for row in rows))
    new, counts, refused = _sorted_out(rows, kind, classes, known, now)
    if refused and not new and not counts["known"]:
        raise InputError(f"none of the labels can be taken; {refused[0]}")
    if new:
        header = Header(name, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}")
        shipping.put(ledger, vars(header), lines.header(header) + b"".join(map(lines.label, new)))
    return Taken(len(new), counts["known"], counts["waiting"], refused, _joined(ledger, name, now))


def _sorted_out(
    rows: Iterable[tuple[str, Any, Any, Any]], kind: str, classes: Sequence[str], known: stored.Known, now: float
) -> tuple[list[Label], dict[str, int], list[str]]:
    """Returns new labels, counts of the others, and complaints."""
    new: list[Label] = []
    counts = {"known": 0, "waiting": 0}
    refused: list[str] = []
    for place, id_, value, at in rows:
        if value is None or value == "":
            counts["waiting"] += 1
            continue
        try:
            when = now if at in (None, "") else table.seconds(at) if isinstance(at, str) else at
            found = intake.label(kind, classes, id_, value, when, now)
        except InputError as error:
            refused.append(f"{place}: {error}")
            continue
        if not known.is_news(found, timed=at not in (None, "")):
            counts["known"] += 1
            continue
        known.add(found)
        new.append(found)
    return new, counts, refused


def _rows(given: Given) -> Iterable[tuple[str, Any, Any, Any]]:
    """Yields the place, id, label and time of each row."""
    if isinstance(given, str | Path):
        for line, *row in table.rows(Path(given)):
            yield f"line {line}", row[0], row[1].strip(), row[2]
    else:
        pairs = given.items() if isinstance(given, Mapping) else given
        for number, pair in enumerate(pairs):
            if isinstance(pair, str) or len(pair) not in (2, 3):
                raise InputError(f"row {number}: expected id, label and perhaps time; got {pair!r:.60}")
            yield f"row {number}", *pair, *[None] * (3 - len(pair))


def _asked(store: Store, names: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the kind of problem and the classes of the champion; without one, of the log."""
    try:
        found = reference.of_champion(store, names[0])
        return found.kind, found.classes
    except NotFoundError:
        header = stored.header(store, names)
    if header is None:
        raise NotFoundError(
            f"{names[0]} has neither a champion with a reference nor a log, so it is not known what its labels are"
        )
    return str(header.get("kind")), list(header.get("classes") or [])


def _joined(store: Store, model: str, now: float) -> RealisedRecord | None:
    try:
        return realised.join(store, model, now)
    except NotFoundError:
        return None
