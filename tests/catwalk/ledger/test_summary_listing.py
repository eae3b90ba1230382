"""A reader that keeps running lists a ledger of many runs in parts, and misses nothing for long."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from catwalk.errors import StoreError
from catwalk.ledger import summary_listing
from catwalk.ledger.runs import summary_key
from catwalk.ledger.summaries import Summaries
from catwalk.ledger.summary_listing import SummaryListing
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from tests.support.ledgers import put_summary, summary

pytestmark = pytest.mark.integration

RUN_IDS = [f"20261122T0300{number:02}Z-{number:08x}" for number in range(20)]
OLD, NEW = RUN_IDS[12], RUN_IDS[-2]
READS = 4
"""Reads in which every part is listed: 16 keys before the newest ones, 5 at each read."""


@pytest.fixture
def store(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Twenty summaries. Each read lists the newest four, and five of the others."""
    monkeypatch.setattr(summary_listing, "NEWEST", 4)
    monkeypatch.setattr(summary_listing, "STRETCH", 5)
    for run_id in RUN_IDS:
        put_summary(s3_store, summary(run_id))
    return s3_store


@pytest.fixture
def reader(store: Store) -> Summaries:
    found = Summaries(store)
    found.read()
    return found


def ids(reader: Summaries) -> list[str]:
    return [found.run_id for found in reader.read()]


def state(reader: Summaries, run_id: str) -> str:
    return next(found.state for found in reader.read() if found.run_id == run_id)


def reads_until(holds: Callable[[], bool]) -> int:
    """Returns the number of reads after which something shows, of those that list everything."""
    return next((number for number in range(1, READS + 1) if holds()), READS + 1)


def test_what_happens_to_a_new_run_shows_at_once(store: Store, reader: Summaries) -> None:
    coming = "20261122T040000Z-00000001"
    put_summary(store, summary(coming, state="running", finished=None))
    put_summary(store, summary(NEW, state="failed"))
    assert state(reader, NEW) == "failed"
    assert ids(reader) == [*RUN_IDS, coming]
    store.delete(summary_key(NEW))
    assert NEW not in ids(reader)


def test_a_running_run_is_followed_to_its_end_however_old_it_is(store: Store) -> None:
    put_summary(store, summary(OLD, state="running", finished=None))
    reader = Summaries(store)
    for end in ("running", "failed", "running", "succeeded"):
        finished = None if end == "running" else 1_795_000_000.0
        put_summary(store, summary(OLD, state=end, finished=finished))
        reads = reads_until(lambda end=end: state(reader, OLD) == end)  # type: ignore[misc]
        assert reads <= (READS if end == "running" else 1)


def test_the_removal_of_a_running_run_shows_at_once(store: Store) -> None:
    put_summary(store, summary(OLD, state="running", finished=None))
    reader = Summaries(store)
    assert OLD in ids(reader)
    store.delete(summary_key(OLD))
    assert OLD not in ids(reader)
    assert reader.total == len(RUN_IDS) - 1


def test_a_change_to_any_old_run_shows_once_all_were_listed(store: Store, reader: Summaries) -> None:
    for run_id in RUN_IDS[:-4]:
        put_summary(store, summary(run_id, state="cancelled"))
        assert reads_until(lambda run_id=run_id: state(reader, run_id) == "cancelled") <= READS  # type: ignore[misc]


def test_a_run_that_is_created_or_removed_among_the_old_ones_shows_too(store: Store, reader: Summaries) -> None:
    """A backfill, a slow clock, another version of Catwalk, or `catwalk prune` can do that."""
    for run_id in ("20261122T030000Z-ffffffff", "20261122T030007Z-ffffffff", "20200101T000000Z-00000001"):
        put_summary(store, summary(run_id))
        assert reads_until(lambda run_id=run_id: run_id in ids(reader)) <= READS  # type: ignore[misc]
        store.delete(summary_key(run_id))
        assert reads_until(lambda run_id=run_id: run_id not in ids(reader)) <= READS  # type: ignore[misc]


def test_a_clock_that_is_far_ahead_hides_no_other_run(store: Store, reader: Summaries) -> None:
    put_summary(store, summary("20991231T235959Z-00000001"))
    coming = "20261122T050000Z-00000001"
    reader.read()
    put_summary(store, summary(coming))
    assert coming in ids(reader)


def test_a_ledger_that_loses_most_of_its_runs_is_read_correctly(store: Store, reader: Summaries) -> None:
    for run_id in RUN_IDS[2:]:
        store.delete(summary_key(run_id))
    assert reads_until(lambda: ids(reader) == RUN_IDS[:2]) <= READS


def test_a_read_costs_the_same_however_many_runs_there_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    operations: list[str] = []
    reader = Summaries(S3Store(store.url, lambda operation, seconds, failed: operations.append(operation)))
    reader.read()
    operations.clear()
    assert ids(reader) == RUN_IDS
    assert operations == ["list", "list"]
    keys: list[str] = []
    whole = S3Store.list
    monkeypatch.setattr(S3Store, "list", lambda *given: (keys.append(found.key) or found for found in whole(*given)))
    assert ids(reader) == RUN_IDS
    assert len(keys) == summary_listing.NEWEST + summary_listing.STRETCH < len(RUN_IDS)


def test_every_change_is_seen_eventually(store: Store) -> None:
    chance, listing = random.Random(7), SummaryListing(store)
    there = {summary_key(run_id) for run_id in RUN_IDS}
    for _ in range(25):
        key = summary_key(f"20261122T0300{chance.randrange(30):02}Z-{chance.randrange(40):08x}")
        gone = chance.choice([key, *sorted(there)])
        store.put(key, str(chance.random()).encode())
        store.delete(gone)
        there = (there | {key}) - {gone}
        found = list(listing.read())
        assert found == sorted(found)
    truth = {entry.key: entry.etag for entry in store.list("summaries/")}
    assert set(truth) == there
    longest = len(truth) // summary_listing.STRETCH + 2
    assert [listing.read() for _ in range(longest)][-1] == truth


def test_a_read_that_fails_forgets_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_summary(store, summary(OLD, state="running", finished=None))
    reader = Summaries(store)
    reader.read()
    put_summary(store, summary(RUN_IDS[1], state="failed"))

    def refuse(self: Store, key: str) -> str:
        raise StoreError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "etag", refuse)
        with pytest.raises(StoreError):
            reader.read()
    assert state(reader, RUN_IDS[1]) == "failed", "the part that could not be listed is listed again"
    assert ids(reader) == RUN_IDS
