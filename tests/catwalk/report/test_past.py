"""The earlier runs: all of them if an index saves the requests, otherwise the newest."""

from __future__ import annotations

from collections import Counter

import pytest

from catwalk.codec import to_json
from catwalk.ledger import summary_index
from catwalk.report.facts import ONE_BY_ONE, read_past
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store, Stored
from tests.catwalk.report.conftest import summary

pytestmark = pytest.mark.integration


def test_a_long_history_costs_few_requests_and_damaged_runs_are_left_out(s3_store: Store) -> None:
    operations: Counter[str] = Counter()
    store = S3Store(s3_store.url, lambda operation, seconds, failed: operations.update([operation]))
    count = ONE_BY_ONE + 5
    ids = [f"20260101T000000Z-{number:08x}" for number in range(count)]
    bodies = {f"summaries/{run_id}.json": to_json(summary(run_id)) for run_id in ids}
    etags = {key: s3_store.put(key, body) for key, body in bodies.items()}
    found, older = read_past(store, "mlp")
    assert ([one.run_id for one in found], older) == (ids[5:], 5)
    assert operations == {"list": 1, "get": ONE_BY_ONE + 1}

    summary_index.write(s3_store, {key: Stored(body, etags[key]) for key, body in bodies.items()})
    s3_store.put(f"summaries/{ids[3]}.json", to_json(summary(ids[3], test_accuracy=0.5)))
    s3_store.put(f"summaries/{ids[4]}.json", b"{")
    s3_store.put(f"summaries/{ids[6]}.json", to_json(summary(ids[6], model="another")))
    s3_store.put(f"summaries/{ids[8]}.json", to_json(summary(ids[8], started=float("nan"))))
    operations.clear()
    found, older = read_past(store, "mlp")
    assert ([one.run_id for one in found], older) == ([*ids[:4], ids[5], ids[7], *ids[9:]], 0)
    assert found[3].test_accuracy == 0.5, "what has changed since the index was written is read again"
    assert operations == {"list": 1, "get": 1 + 4}

    s3_store.put(summary_index.KEY, b"nonsense")
    assert len(read_past(store, "mlp")[0]) == ONE_BY_ONE - 2, (
        "as without an index; one run is of another model, one has no time"
    )
