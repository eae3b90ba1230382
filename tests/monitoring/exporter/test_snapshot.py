"""What the exporter reads from the ledger, and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.realised import RealisedRecord
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.retraining import slots
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk_exporter.snapshot import LedgerReader, Snapshot

MODELS = ("bookings", "churn", "解約")
CHAMPION = ChampionRecord("churn", "20261123T030000Z-7f3a90c1", "m", 1.0, "", "", "gate", "")


class World:
    """A ledger of three models, and how often a GET requests one of their records."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.store: Store = open_store(
            folder.as_uri(), on_operation=lambda what, seconds, failed: self.asked.append(what)
        )
        for model in MODELS:
            self.store.put_record(f"champions/{model}.json", replace(CHAMPION, model=model))
            self.store.put_record(f"models/{model}.json", WatchedRecord(model))
            realised = RealisedRecord(model, "accuracy", "maximize", [], {}, {}, None, 1.0)
            self.store.put_record(f"realised/{model}.json", realised)
            self.store.put_record(slots.key(model), SlotRecord(model))
        self._reader = LedgerReader(self.store)

    def read(self) -> tuple[Snapshot, int]:
        """Returns what is published, and the number of GETs."""
        found: list[Snapshot] = []
        self.asked.clear()
        self._reader.read(0.0, found.append)
        return found[-1], self.asked.count("get")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_record_that_has_not_changed_is_not_read_again(world: World) -> None:
    first, gets = world.read()
    assert gets >= 4 * len(MODELS)
    again, gets = world.read()
    assert again == first
    assert [one.model for one in again.champions] == [one.model for one in again.models] == list(MODELS)
    of_summaries = gets
    world.store.put_record(slots.key("churn"), SlotRecord("churn", strikes=1))
    changed, gets = world.read()
    assert gets == of_summaries + 1
    assert [one.strikes for one in changed.slots] == [0, 1, 0]


def test_a_removed_record_is_no_longer_shown(world: World) -> None:
    world.read()
    world.store.delete("champions/churn.json")
    assert [one.model for one in world.read()[0].champions] == ["bookings", "解約"]


def test_a_damaged_record_is_reported_until_it_is_fixed(world: World) -> None:
    world.store.put("champions/churn.json", b"{")
    world.store.put_record("champions/bookings.json", CHAMPION)
    for _ in range(2):
        found = world.read()[0]
        assert [one.model for one in found.champions] == ["解約"]
        assert found.damaged["champions/bookings.json"] == "it names a different model"
        assert "restore it from a backup" in found.damaged["champions/churn.json"]
    world.store.put_record("champions/churn.json", CHAMPION)
    found = world.read()[0]
    assert list(found.damaged) == ["champions/bookings.json"]
    assert [one.model for one in found.champions] == ["churn", "解約"]
