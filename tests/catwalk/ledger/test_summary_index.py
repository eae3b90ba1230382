"""The index of summaries: it saves GETs, and never shows outdated data."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from catwalk.errors import StoreError
from catwalk.ledger import summary_index
from catwalk.ledger.summaries import Summaries
from catwalk.storage.opening import open_store
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store, Stored
from tests.support.ledgers import put_summary, summary

pytestmark = pytest.mark.integration

RUN_IDS = [f"20261122T03000{number}Z-0000000{number}" for number in range(6)]


@pytest.fixture
def store(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with six summaries, in which an index pays off from three on."""
    monkeypatch.setattr(summary_index, "WORTHWHILE", 3)
    for run_id in RUN_IDS:
        put_summary(s3_store, summary(run_id))
    return s3_store


def gets_of_a_newcomer(store: Store) -> tuple[int, list[str]]:
    """Returns the number of GETs of a reader that starts without any state, and the states that it finds."""
    operations: list[str] = []
    found = Summaries(S3Store(store.url, lambda operation, seconds, failed: operations.append(operation))).read()
    assert [record.run_id for record in found] == RUN_IDS
    return operations.count("get"), [record.state for record in found]


def test_a_new_reader_reads_one_object_instead_of_all(store: Store) -> None:
    assert gets_of_a_newcomer(store)[0] > len(RUN_IDS)
    assert gets_of_a_newcomer(store) == (1, ["succeeded"] * 6)


def test_what_has_changed_since_the_index_was_written_is_read_itself(store: Store) -> None:
    Summaries(store).read()
    put_summary(store, summary(RUN_IDS[2], state="failed"))
    gets, states = gets_of_a_newcomer(store)
    assert gets == 2
    assert states == ["succeeded", "succeeded", "failed", "succeeded", "succeeded", "succeeded"]


def test_a_reader_that_keeps_running_updates_the_index(store: Store) -> None:
    reader = Summaries(store)
    reader.read()
    for run_id in RUN_IDS[:3]:
        put_summary(store, summary(run_id, state="cancelled"))
        reader.read()
    assert gets_of_a_newcomer(store) == (1, ["cancelled"] * 3 + ["succeeded"] * 3)


@pytest.mark.parametrize("body", [b"", b"\x1f\x8b no", b'{"a": 1}', b"[]"])
def test_a_damaged_index_is_replaced(store: Store, body: bytes) -> None:
    store.put(summary_index.KEY, body)
    assert gets_of_a_newcomer(store)[0] >= len(RUN_IDS)
    assert gets_of_a_newcomer(store)[0] == 1


def test_without_the_right_to_write_all_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Store, key: str, body: bytes, **conditions: object) -> str:
        raise StoreError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "put", refuse)
        assert gets_of_a_newcomer(store)[1] == ["succeeded"] * 6
    assert store.find(summary_index.KEY) is None


def test_a_removed_run_is_not_shown_from_the_index(store: Store) -> None:
    Summaries(store).read()
    store.delete(f"summaries/{RUN_IDS[0]}.json")
    assert [record.run_id for record in Summaries(store).read()] == RUN_IDS[1:]


def peak(action: Callable[[], object]) -> int:
    """Returns the bytes that it needs at most, besides what was allocated before."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_summaries_are_not_held_in_memory_twice(tmp_path: Path) -> None:
    store, body = open_store((tmp_path / "ledger").as_uri()), b"{" + b" " * 5_000 + b"}"
    summaries = {f"summaries/{number}.json": Stored(body, str(number)) for number in range(2_000)}
    size = len(body) * len(summaries)
    assert peak(lambda: summary_index.write(store, summaries)) < size / 4
    assert peak(lambda: summary_index.read(store)) < size * 1.25
    assert summary_index.read(store) == summaries
