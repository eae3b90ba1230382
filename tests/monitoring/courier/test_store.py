from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest

from catwalk.clients.episodes import Alert, Notification, episodes, subject, unix_time
from catwalk.errors import ConfigError
from catwalk_courier.delivery.channel import Courier
from catwalk_courier.journal.store import Store

START, END = "2026-11-23T03:11:04.123456789Z", "2026-11-23T03:41:04Z"
FIRING = Alert("aa", START, "firing", {"alertname": "StoreSlow", "severity": "warning"}, {"summary": "S3 is slow"})
RESOLVED = replace(FIRING, status="resolved", ends_at=END)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "courier.db")


def test_a_repeat_is_counted_not_kept_again(store: Store) -> None:
    assert store.add([FIRING], 1.0, annotate=False) == [FIRING]
    assert store.add([FIRING, FIRING], 2.0, annotate=False) == []
    later = replace(FIRING, starts_at="2026-11-24T03:11:04Z")
    other = replace(FIRING, fingerprint="bb")
    assert store.add([RESOLVED, later, other], 3.0, annotate=False) == [RESOLVED, later, other]
    first = store.notifications(10)[-1]
    assert (first.alert, first.first_seen, first.last_seen, first.times) == (FIRING, 1.0, 2.0, 3)


def test_the_answer_of_the_api_reads_back_without_fields_of_a_newer_courier(store: Store) -> None:
    store.add([FIRING], 1.0, annotate=False)
    [kept] = store.notifications(10)
    given = json.loads(json.dumps({**kept.to_dict(), "acknowledged_by": "ada"}))
    assert Notification.from_dict(given) == kept


def test_concurrent_copies_are_kept_once(tmp_path: Path) -> None:
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


def test_the_oldest_is_delivered_first_however_often_it_fails(store: Store) -> None:
    for event in ("silent", "recovered"):
        store.keep_watch({}, {"slack": {"event": event}}, 1.0)
    first = store.next_delivery("slack")
    assert first is not None
    store.postpone(first, 600.0, "Slack does not answer")
    waiting = store.next_delivery("slack")
    assert waiting is not None
    assert (waiting.payload["event"], waiting.due) == ("silent", 600.0)
    store.end(waiting, 601.0)
    after = store.next_delivery("slack")
    assert after is not None
    assert after.payload["event"] == "recovered"


def test_entries_that_wait_when_the_clock_is_set_back_by_a_day_block_nothing(store: Store) -> None:
    for event in ("silent", "recovered"):
        store.keep_watch({}, {"slack": {"event": event}}, time.time() + 86_400)
    delivered: Queue[str] = Queue()
    courier = Courier(store, "slack", lambda one: delivered.put(one.payload["event"]), 1.0, lambda outcome: None)
    courier.start()
    try:
        assert [delivered.get(timeout=30) for _ in range(2)] == ["silent", "recovered"]
    finally:
        courier.stop()


@pytest.mark.parametrize("name", ["Watchdog", "CatwalkWatchdog"])
def test_the_watchdog_becomes_no_annotation(store: Store, name: str) -> None:
    store.add([replace(FIRING, labels={"alertname": name})], 1.0, annotate=True)
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


def sequence(store: Store, *told: tuple[Alert, str]) -> None:
    """Alerts as Alertmanager's groups report them, a second apart, from an hour after the first began."""
    for number, (alert, group) in enumerate(told):
        store.add([alert], FIRING.started + 3600 + number, annotate=True, group=group)


def spans(store: Store) -> list[tuple[float, float | None]]:
    """Beginning and end of each episode, newest first, in seconds after the first began."""
    return [
        (one.started - FIRING.started, None if one.ended is None else one.ended - FIRING.started)
        for one in episodes(store.notifications(100))
    ]


def ended(seconds: float) -> Alert:
    """Returns the end, this long after the beginning."""
    end = datetime.fromtimestamp(round(FIRING.started + seconds), UTC)
    return replace(FIRING, status="resolved", ends_at=f"{end:%Y-%m-%dT%H:%M:%SZ}")


def test_an_alert_that_fires_after_its_end_is_a_new_episode_with_its_own_end(store: Store) -> None:
    sequence(store, (FIRING, "a"), (ended(40), "a"), (FIRING, "a"))
    assert [one.alert for one in store.unresolved()] == [FIRING]
    assert spans(store) == [(3602, None), (0, pytest.approx(40, abs=1))]
    sequence(store, (FIRING, "a"), (FIRING, "a"), (ended(7200), "a"))
    assert store.unresolved() == []
    assert spans(store) == [(3602, pytest.approx(7200, abs=1)), (0, pytest.approx(40, abs=1))]
    assert [one.times for one in reversed(store.notifications(10))] == [1, 1, 3, 1]
    assert store.pending() == {"grafana": 4}, "an annotation for each beginning and each end"
    sequence(store, (FIRING, "a"))
    assert len(spans(store)) == 3


@pytest.mark.parametrize("restarts", [False, True])
def test_a_repeated_end_does_not_end_a_new_episode(tmp_path: Path, restarts: bool) -> None:
    store = Store(tmp_path / "courier.db")
    for told in (FIRING, ended(40), ended(40), FIRING, ended(40)):
        if restarts:
            store.close()
            store = Store(tmp_path / "courier.db")
        sequence(store, (told, "a"))
    assert [one.alert for one in store.unresolved()] == [FIRING]
    assert [one.times for one in reversed(store.notifications(10))] == [1, 3, 1]


def test_two_groups_that_report_one_alert_make_one_episode_each_time(store: Store) -> None:
    sequence(store, (FIRING, "a"), (FIRING, "b"), (ended(40), "a"), (FIRING, "a"), (ended(40), "b"), (FIRING, "b"))
    assert [ended is None for _, ended in spans(store)] == [True, False]
    sequence(store, (ended(7200), "b"), (ended(7200), "a"))
    assert store.unresolved() == []
    assert len(spans(store)) == 2


def test_a_group_that_reports_an_episode_late_makes_no_new_one(store: Store) -> None:
    sequence(store, (FIRING, "a"), (ended(40), "a"), (FIRING, "b"), (ended(40), "b"))
    assert store.unresolved() == []
    assert spans(store) == [(0, pytest.approx(40, abs=1))]
    assert [one.times for one in reversed(store.notifications(10))] == [2, 2]


def test_a_clock_that_is_set_back_changes_no_order(store: Store) -> None:
    sequence(store, (FIRING, "a"), (ended(40), "a"), (FIRING, "a"), (ended(3650), "a"))
    store.add([FIRING], FIRING.started - 60, annotate=False, group="a")
    assert [one.alert for one in store.unresolved()] == [FIRING]
    assert [end is None for _, end in spans(store)] == [True, False, False]
    store.add([ended(3700)], FIRING.started - 50, annotate=False, group="a")
    assert store.unresolved() == []
    assert [end for _, end in spans(store)] == pytest.approx([3700, 3650, 40], abs=1)


def test_an_earlier_beginning_replaces_the_previous_one(store: Store) -> None:
    """Alertmanager takes the sender's time, whose clock may have been set back."""
    earlier = datetime.fromtimestamp(FIRING.started - 30, UTC).isoformat()
    sequence(store, (FIRING, "a"), (replace(FIRING, starts_at=earlier), "a"))
    assert [one.alert.starts_at for one in store.unresolved()] == [earlier]
    sequence(store, (replace(ended(40), starts_at=earlier), "a"))
    assert store.unresolved() == []


def test_an_end_without_a_beginning_is_an_episode(store: Store) -> None:
    sequence(store, (ended(40), "a"), (ended(50), "a"), (ended(45), "a"))
    assert spans(store) == [(0, pytest.approx(50, abs=1))]
    assert [one.alert.status for one in store.notifications(10)] == ["resolved"] * 3, "each end is kept"
    sequence(store, (FIRING, "a"))
    assert [ended is None for _, ended in spans(store)] == [True, False]


def test_an_episode_that_was_over_when_it_was_reported_took_no_time(store: Store) -> None:
    sequence(store, (FIRING, "a"), (ended(40), "a"), (FIRING, "a"), (ended(3601), "a"))
    assert spans(store)[0] == (3602, 3602)


def test_an_episode_without_a_reported_end_is_over_when_the_next_begins(store: Store) -> None:
    later = replace(FIRING, starts_at="2026-11-23T05:11:04.123456789Z")
    sequence(store, (FIRING, "a"), (later, "a"))
    assert spans(store) == [(7200, None), (0, 7200)]
    assert [one.alert for one in store.unresolved()] == [later]


def test_a_firing_alert_is_listed_however_old_it_is(store: Store) -> None:
    store.add([FIRING], 1.0, annotate=False)
    for number in range(5):
        store.add([replace(RESOLVED, fingerprint=f"over {number}")], 2.0 + number, annotate=False)
    assert [one.alert.fingerprint for one in store.told(2)] == ["over 4", "over 3", "aa"]


def test_a_file_of_the_first_version_is_migrated_without_loss(tmp_path: Path) -> None:
    """It kept one notification for each fingerprint, start and status; a repeated episode shows in its times only."""
    shutil.copy(Path(__file__).with_name("kept") / "version-0.db", tmp_path / "courier.db")
    for _ in range(2):  # the second time, it has this version already
        store = Store(tmp_path / "courier.db")
        kept = store.notifications(100)
        found = {(one.name, one.ended is None): one.times for one in episodes(kept)}
        store.close()
        assert found == {
            ("StoreSlow", False): 3,
            ("DiskNearlyFull", True): 1,
            ("StoreUnavailable", False): 3,
            ("StoreUnavailable", True): 1,
            ("StatsdExporterDown", False): 4,
        }
        assert sum(one.times for one in kept) == 13, "as many as were received"
    store = Store(tmp_path / "courier.db")
    again = next(one for one in episodes(store.notifications(100)) if one.name == "StoreUnavailable")
    assert (again.started, again.ended) == (1795407190.0, None), "when it was firing again after its end"
    assert store.watch()["heard"] == 1795403500.0
    assert store.pending() == {"grafana": 7, "slack": 1}
    delivery = store.next_delivery("grafana")
    assert delivery is not None
    assert "began" not in delivery.payload


def test_an_end_that_came_before_its_beginning_in_the_first_version(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    shutil.copy(Path(__file__).with_name("kept") / "version-0.db", path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE notifications SET first_seen = 1795403600, times = 2 WHERE id = 4")
    connection.close()
    found = [one for one in episodes(Store(path).notifications(100)) if one.name == "StoreUnavailable"]
    assert [(one.started, one.ended is None, one.times) for one in found] == [
        (1795403600.0, True, 2),
        (unix_time(START), False, 1),
    ]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path / "courier.db").close()
    with sqlite3.connect(tmp_path / "courier.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match=r"courier\.db can't be used \(a newer Catwalk wrote it"):
        Store(tmp_path / "courier.db")


def test_a_subject_leaves_out_what_every_alert_has() -> None:
    labels = {"alertname": "A", "severity": "info", "area": "model", "grafana": "http://g", "run_id": "r", "model": "m"}
    assert subject(labels) == "model=m run_id=r"
    for exporter in ("exporter", "registry"):  # the second in the data of version 0.1
        assert subject({**labels, exporter: "http://e"}) == "model=m run_id=r"


def test_old_entries_are_deleted(store: Store) -> None:
    store.add([FIRING], 1.0, annotate=True)
    store.add([RESOLVED], 10.0, annotate=True)
    store.forget(before=5.0)
    assert [one.alert.status for one in store.notifications(10)] == ["resolved"]
    assert store.pending() == {"grafana": 2}, "what was never delivered stays"


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "courier.db").write_text("no database" * 1000)
    with pytest.raises(ConfigError, match=r"courier\.db can't be used"):
        Store(tmp_path / "courier.db")
