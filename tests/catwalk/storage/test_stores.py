"""What every store guarantees, in S3 or in a folder of this machine."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from catwalk.errors import DamagedError, NotFoundError, PreconditionFailedError
from catwalk.ledger.records.model import ChampionRecord
from catwalk.storage.opening import open_store
from catwalk.storage.store import Entry, Store

WRITERS = 32


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.integration), "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        found: Store = request.getfixturevalue("s3_store")
        return found
    return open_store((tmp_path / "runs of tests").as_uri())


def at_once(work: Callable[[int], bool]) -> list[int]:
    """Returns the writers that succeed, of 32 that begin at the same moment."""
    start = Barrier(WRITERS)

    def one(writer: int) -> bool:
        start.wait()
        return work(writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        return [writer for writer, won in enumerate(pool.map(one, range(WRITERS))) if won]


def wins(store: Store, key: str, writer: int, **condition: object) -> bool:
    try:
        store.put(key, f"writer {writer}".encode(), **condition)
    except PreconditionFailedError:
        return False
    return True


def test_an_object_can_be_stored_read_and_deleted(store: Store) -> None:
    etag = store.put("a/b.bin", b"\0\1")
    assert store.get("a/b.bin").body == b"\0\1"
    assert store.get("a/b.bin").etag == store.etag("a/b.bin") == etag
    assert store.exists("a/b.bin")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")
    assert store.etag("a/b.bin") is store.find("a/b.bin") is None
    assert list(store.list("")) == []
    with pytest.raises(NotFoundError, match=r"a/b\.bin does not exist"):
        store.get("a/b.bin")


def test_create_writes_only_where_nothing_is(store: Store) -> None:
    store.put("once", b"first", create=True)
    with pytest.raises(PreconditionFailedError):
        store.put("once", b"second", create=True)
    assert store.get("once").body == b"first"
    store.delete("once")
    store.put("once", b"third", create=True)
    assert store.get("once").body == b"third"


def test_if_match_replaces_only_what_was_read(store: Store) -> None:
    first = store.put("x", b"1")
    second = store.put("x", b"2", if_match=first)
    with pytest.raises(PreconditionFailedError):
        store.put("x", b"3", if_match=first)
    assert store.get("x").body == b"2"
    store.put("x", b"4", if_match=second)
    assert store.get("x").body == b"4"
    with pytest.raises(PreconditionFailedError):
        store.put("y", b"1", if_match=first)
    assert not store.exists("y")


def test_a_retried_put_recognises_its_own_first_try(store: Store) -> None:
    """The first try arrived, but its answer was lost; the retry is refused because of what the first try wrote."""
    first = store.put("x", b"1")
    ours = store.put("x", b"mine", if_match=first)
    assert store.put("x", b"mine", if_match=first) == ours
    assert store.put("y", b"mine", create=True) == store.put("y", b"mine", create=True)


@pytest.mark.parametrize("round_number", range(3))
def test_of_32_creations_at_once_one_wins(store: Store, round_number: int) -> None:
    won = at_once(lambda writer: wins(store, "decision.json", writer, create=True))
    assert len(won) == 1
    assert store.get("decision.json").body == f"writer {won[0]}".encode()


@pytest.mark.parametrize("round_number", range(3))
def test_of_32_swaps_at_once_one_wins(store: Store, round_number: int) -> None:
    etag = store.put("champion", b"old")
    won = at_once(lambda writer: wins(store, "champion", writer, if_match=etag))
    assert len(won) == 1
    assert store.get("champion").body == f"writer {won[0]}".encode()


def test_concurrent_increments_of_a_counter_are_never_lost(store: Store) -> None:
    store.put("counter", b"0 by none")

    def raised(writer: int) -> bool:
        while True:
            found = store.get("counter")
            value = f"{int(found.body.split()[0]) + 1} by {writer}".encode()
            try:
                store.put("counter", value, if_match=found.etag)
                return True
            except PreconditionFailedError:
                continue

    at_once(raised)
    assert int(store.get("counter").body.split()[0]) == WRITERS


def test_a_reader_sees_one_version_or_the_next(store: Store) -> None:
    """The bodies consist of one letter each, so a mixture of two would show."""
    etags = {store.put("x", b"a" * 300_000): b"a"}
    done = Event()

    def write() -> None:
        try:
            for letter in (b"b", b"c", b"d", b"e") * 5:
                etags[store.put("x", letter * 300_000)] = letter
        finally:
            done.set()

    seen = []
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        while not done.is_set():
            seen.append(store.get("x"))
        written.result()
    assert seen
    assert all(stored.body == etags[stored.etag] * 300_000 for stored in seen)


def test_a_listing_shows_what_a_read_does(store: Store) -> None:
    etags = {key: store.put(key, key.encode()) for key in ("runs/1/a.json", "runs/1/b.json", "runs/2/a.json", "x")}
    assert list(store.list("runs/1/")) == [Entry(key, etags[key], 13) for key in ("runs/1/a.json", "runs/1/b.json")]
    assert [entry.key for entry in store.list("runs/")] == ["runs/1/a.json", "runs/1/b.json", "runs/2/a.json"]
    assert [entry.key for entry in store.list("runs/1/b")] == ["runs/1/b.json"]
    assert [entry.key for entry in store.list("ru")] == ["runs/1/a.json", "runs/1/b.json", "runs/2/a.json"]
    assert [entry.key for entry in store.list("")] == [*etags]
    assert list(store.list("nothing/")) == list(store.list("runs/1/a.json/")) == []


def test_a_listing_begins_after_any_key(store: Store) -> None:
    keys = ["a-b/1.json", "a.json", "a/1.json", "a/2.json", "b", "é.json", "日本/1.json"]
    for key in keys:
        store.put(key, b"")
    for after in ("", *keys, "a/", "a/1", "a/15", "a0", "é", "zz"):
        behind = [key for key in keys if key.encode() > after.encode()]
        assert [entry.key for entry in store.list("", after)] == behind, after
    assert [entry.key for entry in store.list("a", "a.json")] == ["a/1.json", "a/2.json"]
    assert [entry.key for entry in store.list("a/", "a/1.json")] == ["a/2.json"]
    assert [entry.key for entry in store.list("b", "a")] == ["b"]
    assert list(store.list("a", "b")) == []


def test_a_listing_goes_beyond_one_page(store: Store) -> None:
    keys = [f"many/{number:04d}" for number in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert [entry.key for entry in store.list("many/")] == keys
    assert [entry.key for entry in store.list("many/", keys[19])] == keys[20:]


def test_keys_are_listed_in_the_order_of_their_utf_8(store: Store) -> None:
    """UTF-16 has another order (the last two), and so do folders beside names that begin with theirs."""
    keys = ["a!.json", "a-b/1.json", "a.json", "a/1.json", "a0.json", "Z.json", "é.json", "日本/1.json", "\uff21", "😀"]
    for key in keys:
        store.put(key, b"")
    assert [entry.key for entry in store.list("")] == sorted(keys, key=str.encode)


def test_each_request_is_reported_with_its_outcome(store: Store) -> None:
    seen: list[tuple[str, bool]] = []
    store = dataclasses.replace(store, on_operation=lambda operation, seconds, failed: seen.append((operation, failed)))
    store.put("x", b"")
    store.find("nothing")
    store.exists("x")
    list(store.list(""))
    store.delete("x")
    assert seen == [("put", False), ("get", False), ("head", False), ("list", False), ("delete", False)]


def test_a_big_object_travels_in_pieces(store: Store, tmp_path: Path) -> None:
    """The whole object must never be in memory, in either direction."""
    source, target = tmp_path / "model.bin", tmp_path / "back.bin"
    source.write_bytes(bytes(range(256)) * (1 << 17))  # 32 MiB
    store.exists("warm")
    tracemalloc.start()
    try:
        etag = store.put_file("model.bin", source)
        assert store.get_file("model.bin", target) == etag
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert target.read_bytes() == source.read_bytes()
    assert store.etag("model.bin") == etag


def test_a_file_stays_where_there_is_no_object(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "kept.bin"
    target.write_bytes(b"kept")
    with pytest.raises(NotFoundError):
        store.get_file("nothing", target)
    assert target.read_bytes() == b"kept"
    assert [path.name for path in tmp_path.iterdir() if "kept" in path.name] == ["kept.bin"]


def test_a_damaged_record_is_named_by_its_address(store: Store) -> None:
    store.put("champions/x.json", b"{")
    with pytest.raises(DamagedError, match=f"^{store.url}/champions/x.json is damaged"):
        store.get_record(ChampionRecord, "champions/x.json")


def test_a_store_can_be_checked(store: Store) -> None:
    store.put("x", b"")
    store.check()
