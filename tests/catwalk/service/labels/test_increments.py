"""A join reads what is new, and what that may change; its figures are those of a join that reads everything."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

import catwalk
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.service.labels import checkpoint, expiry, realised
from catwalk.service.log import lines, shipping
from catwalk.service.log.lines import Header, Label
from catwalk.storage.file_store import FileStore
from tests.support.logs import REFERENCE, put_predictions

ANIMALS = replace(REFERENCE, kind="multiclass", classes=["cat", "dog"])
NEXT = replace(ANIMALS, run_id="20261128T030000Z-00000002")
NOW = time.time()
CHECKPOINT = "joins/churn.npz"


class Watched(FileStore):
    """Notes which objects are read, and how often."""

    read: Counter[str]

    def _fetch(self, key: str, sink: BinaryIO) -> str:
        self.__dict__.setdefault("read", Counter())[key] += 1
        return super()._fetch(key, sink)

    def days_read(self) -> list[str]:
        return sorted({key.split("/")[2] for key in self.read if key.startswith("predictions/")})


def day(ago: int) -> str:
    return f"{datetime.fromtimestamp(NOW, UTC) - timedelta(days=ago):%Y-%m-%d}"


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    (tmp_path / "ledger").mkdir()
    return Watched((tmp_path / "ledger").as_uri())


def joined(store: FileStore) -> RealisedRecord:
    return realised.join(store, "churn", NOW)


def from_nothing(store: FileStore) -> RealisedRecord:
    """What a join finds without a checkpoint, which is then put back."""
    kept = store.find(CHECKPOINT)
    store.delete(CHECKPOINT)
    made = joined(store)
    if kept:
        store.put(CHECKPOINT, kept.body)
    return made


def steps(drawn: random.Random, store: FileStore) -> Iterator[None]:
    """Segments and labels in any order: ids come twice, on several days, with labels that are wrong or contradict."""
    ids = [f"id-{number}" for number in range(40)]
    for _ in range(12):
        kind = drawn.choice(["predictions", "predictions", "labels", "labels", "damage", "prune"])
        some = drawn.sample(ids, drawn.randint(1, 8))
        if kind == "predictions":
            answers = {each: drawn.choice(["cat", "dog", None, 5]) for each in some}
            put_predictions(store, day(drawn.randint(0, 5)), answers, drawn.choice([ANIMALS, NEXT]), dropped=1)
        elif kind == "labels":
            times = [(each, drawn.choice(["cat", "dog"]), NOW - drawn.choice([0, 50, 100])) for each in some]
            catwalk.labels("churn", times, store)
        elif kind == "damage":
            store.put(f"predictions/churn/{day(drawn.randint(0, 5))}/{drawn.random()}.jsonl.gz", b"broken")
        elif drawn.random() < 0.3:
            expiry.remove(store, expiry.expired(store, 4, NOW), NOW)
        yield


@pytest.mark.parametrize("seed", range(8))
def test_the_figures_are_those_of_a_join_of_everything(store: Watched, seed: int) -> None:
    put_predictions(store, day(2), {"other": "cat"}, ANIMALS)  # says what the labels are
    for _ in steps(random.Random(seed), store):
        made = joined(store)
        assert made == from_nothing(store)


def test_only_days_that_new_labels_are_of_are_read(store: Watched) -> None:
    for ago in range(6):
        put_predictions(store, day(ago), {f"{ago}-a": "cat", f"{ago}-b": "dog"}, ANIMALS)
    catwalk.labels("churn", {f"{ago}-a": "cat" for ago in range(6)}, store)
    header = Header("churn", day(0))
    shipping.put(store, vars(header), lines.header(header) + lines.label(Label("3-b", "cat", NOW, NOW)))
    store.read.clear()
    assert joined(store).labels["joined"] == 7 and store.days_read() == [day(3)]
    store.read.clear()
    put_predictions(store, day(0), {"0-c": "dog"}, ANIMALS)
    made = joined(store)
    assert store.days_read() == [day(0)]
    store.read.clear()
    assert joined(store) == made and not store.days_read()
    assert made == from_nothing(store) and len(store.days_read()) == 6


def test_a_join_asks_once_which_problem_each_run_has(store: Watched) -> None:
    for record in (ANIMALS, NEXT):
        put_predictions(store, day(1), {f"{record.run_id}-a": "cat"}, record)
    catwalk.labels("churn", {f"{ANIMALS.run_id}-a": "cat"}, store)
    put_predictions(store, day(0), {"later": "dog"}, NEXT)
    store.read.clear()
    joined(store)
    runs = {key: times for key, times in store.read.items() if key.startswith("runs/")}
    assert runs == {f"runs/{record.run_id}/run.json": 1 for record in (ANIMALS, NEXT)}


@pytest.mark.parametrize("damage", ["gone", "empty", "torn", "not one", "of a newer version", "of other segments"])
def test_a_checkpoint_that_is_lost_or_damaged_is_made_again(
    store: Watched, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put_predictions(store, day(1), {"a": "cat", "b": "dog"}, ANIMALS)
    catwalk.labels("churn", {"a": "cat"}, store)
    body = store.get(CHECKPOINT).body
    torn = body[:200] + bytes([body[200] ^ 255]) + body[201:]
    if damage == "gone":
        store.delete(CHECKPOINT)
    elif damage == "of a newer version":
        monkeypatch.setattr(checkpoint, "SCHEMA", checkpoint.SCHEMA - 1)
    elif damage == "of other segments":
        store.put(key, store.get(put_predictions(store, day(1), {"a": "dog"}, ANIMALS)).body)
    else:
        store.put(CHECKPOINT, {"empty": b"", "torn": torn, "not one": b"PK\x03\x04 no archive"}[damage])
    made = catwalk.labels("churn", {"b": "dog"}, store).realised
    assert made and made == replace(from_nothing(store), updated=made.updated)
    assert made.labels["joined"] == (1 if damage == "of other segments" else 2)
