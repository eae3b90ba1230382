"""Reading every run's summary, including damaged ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catwalk.codec import to_json
from catwalk.ledger.summaries import Summaries
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from tests.support.ledgers import put_summary, summary

pytestmark = pytest.mark.integration

FIRST, SECOND = "20261122T030000Z-00000001", "20261123T030000Z-00000002"


def test_only_what_changed_is_read_again(s3_store: Store) -> None:
    reads: list[str] = []
    put_summary(s3_store, summary(SECOND))
    put_summary(s3_store, summary(FIRST))
    summaries = Summaries(S3Store(s3_store.url, lambda operation, seconds, failed: reads.append(operation)))
    assert [found.run_id for found in summaries.read()] == [FIRST, SECOND]
    assert reads.count("get") == 2
    put_summary(s3_store, summary(FIRST, state="failed"))
    assert [found.state for found in summaries.read()] == ["failed", "succeeded"]
    assert reads.count("get") == 3
    s3_store.delete(f"summaries/{FIRST}.json")
    assert [found.run_id for found in summaries.read()] == [SECOND]


def test_of_two_runs_that_began_within_a_second_the_later_is_the_newer(s3_store: Store) -> None:
    later, sooner = "20261122T030000Z-00000001", "20261122T030000Z-ffffffff"
    put_summary(s3_store, summary(later, started=1_795_000_000.9))
    put_summary(s3_store, summary(sooner, started=1_795_000_000.1))
    put_summary(s3_store, summary(SECOND, started=1_794_000_000.0))  # a clock that was set back
    assert [found.run_id for found in Summaries(s3_store).read()] == [sooner, later, SECOND]


def damaged(**changes: Any) -> Any:
    body = json.dumps({**json.loads(to_json(summary(FIRST))), **changes}).encode()
    return pytest.param(body, id=ascii(changes))  # the body's own length depends on the time


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no fields"),
        pytest.param(b'{"checks":' * 100_000, id="nested too deeply"),
        damaged(run_id=SECOND),
        damaged(run_id="<script>"),
        damaged(model=None),
        damaged(model=["mlp"]),
        damaged(model="\ud800"),
        damaged(state="fine"),
        damaged(stages={"train": {"attempts": "two"}}),
        damaged(started="yesterday"),
        damaged(started="NaN"),
        damaged(updated=1e300),
        damaged(finished="Infinity"),
        damaged(test_class_accuracy=[0.9, "x"]),
        damaged(test_class_accuracy=0.9),
        damaged(parameters=[1]),
        damaged(points_dropped=True),
        damaged(checks=[{"check": 1}]),
    ],
)
def test_a_damaged_summary_is_named_and_the_others_are_read(s3_store: Store, body: bytes) -> None:
    key = f"summaries/{FIRST}.json"
    s3_store.put(key, body)
    put_summary(s3_store, summary(SECOND))
    summaries = Summaries(s3_store)
    assert [found.run_id for found in summaries.read()] == [SECOND]
    assert list(summaries.damaged) == [key]
    put_summary(s3_store, summary(FIRST))
    assert len(summaries.read()) == 2
    assert summaries.damaged == {}
