from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import ConfigError
from monitoring.courier.history import episodes, subject
from monitoring.courier.payload import Alert, unix_time
from monitoring.courier.store import Store

START, END = "2026-11-23T03:11:04.123456789Z", "2026-11-23T03:41:04Z"
FIRING = Alert("aa", START, "firing", {"alertname": "StoreSlow", "severity": "warning"}, {"summary": "S3 is slow"})
RESOLVED = replace(FIRING, status="resolved", ends_at=END)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "courier.db")


def test_once_per_fingerprint_start_and_status(store: Store) -> None:
    assert store.add([FIRING], 1.0, annotate=False) == [FIRING]
    assert store.add([FIRING, FIRING], 2.0, annotate=False) == []
    later = replace(FIRING, starts_at="2026-11-24T03:11:04Z")
    other = replace(FIRING, fingerprint="bb")
    assert store.add([RESOLVED, later, other], 3.0, annotate=False) == [RESOLVED, later, other]
    first = store.notifications(10)[-1]
    assert (first.alert, first.first_seen, first.last_seen, first.times) == (FIRING, 1.0, 2.0, 3)


def test_many_at_once_keep_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "courier.db")
    fresh: list[Alert] = []
    threads = [
        threading.Thread(target=lambda: fresh.extend(store.add([FIRING], 1.0, annotate=True))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh == [FIRING]
    assert [one.times for one in store.notifications(10)] == [16]
    assert store.pending() == {"grafana": 1}


def test_the_watchdog_becomes_no_annotation(store: Store) -> None:
    store.add([replace(FIRING, labels={"alertname": "Watchdog"})], 1.0, annotate=True)
    assert store.pending() == {}


def test_beginning_and_end_are_one_episode(store: Store) -> None:
    store.add([FIRING], 1.0, annotate=False)
    store.add([replace(FIRING, labels={"alertname": "Watchdog"}, fingerprint="w")], 1.0, annotate=False)
    (fires,) = episodes(store.notifications(10))
    assert (fires.name, fires.started, fires.ended) == ("StoreSlow", unix_time(START), None)
    assert [one.alert.name for one in store.unresolved()] == ["Watchdog", "StoreSlow"]
    store.add([RESOLVED], 2.0, annotate=False)
    (over,) = episodes(store.notifications(10))
    assert (over.ended, over.last_seen, over.times) == (unix_time(END), 2.0, 2)
    assert [one.alert.name for one in store.unresolved()] == ["Watchdog"]


def test_a_subject_leaves_out_what_every_alert_has() -> None:
    labels = {"alertname": "A", "severity": "info", "area": "model", "grafana": "http://g", "run_id": "r", "model": "m"}
    assert subject(labels) == "model=m run_id=r"


def test_what_is_old_is_forgotten(store: Store) -> None:
    store.add([FIRING], 1.0, annotate=True)
    store.add([RESOLVED], 10.0, annotate=True)
    store.forget(before=5.0)
    assert [one.alert.status for one in store.notifications(10)] == ["resolved"]
    assert store.pending() == {"grafana": 2}, "what was never delivered stays"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "courier.db").write_text("no database" * 1000)
    with pytest.raises(ConfigError, match=r"courier\.db can't be used"):
        Store(tmp_path / "courier.db")
