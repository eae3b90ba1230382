"""The courier's data, in one SQLite file: notifications, the dead-man watch, and pending deliveries.

Every change is on disk before its call returns (WAL, ``synchronous=FULL``): a killed process forgets nothing.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catwalk.clients.episodes import WATCHDOGS, Alert, Notification, Status
from catwalk.errors import ConfigError
from catwalk_courier.journal import schema

GRAFANA = "grafana"
"""The channel of annotations."""
KEPT_SECONDS = 400 * 86_400.0
"""As long as Prometheus keeps its samples."""


@dataclass(frozen=True)
class Delivery:
    """Something that a channel has to deliver."""

    id: int
    payload: Mapping[str, Any]
    attempts: int
    """Attempts so far, including those that a kill interrupted."""
    due: float


class Store:
    """The file; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigError: the file can't be used.
        """
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            schema.prepare(self._connection)
        except (OSError, sqlite3.Error, ConfigError) as error:
            raise ConfigError(f"{path} can't be used ({error}); correct its permissions, or move it away") from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Runs a transaction: all of its changes are made, or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def _rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def add(self, alerts: Iterable[Alert], now: float, annotate: bool, group: str = "") -> list[Alert]:
        """Stores alerts; returns those that are new. A repeat of a known one is only counted.

        Args:
            alerts: The alerts of one notification.
            now: The Unix time.
            annotate: Whether new ones also become Grafana annotations (never the Watchdog).
            group: Alertmanager's group that sent them; each group sends an alert's changes in order.
        """
        with self._change() as connection:
            fresh = []
            for alert in alerts:
                began = _keep(connection, alert, group, now)
                if began is None:
                    continue
                fresh.append(alert)
                if annotate and alert.name not in WATCHDOGS:
                    _enqueue(connection, GRAFANA, {**asdict(alert), "began": began}, now)
        return fresh

    def annotate(self, alert: Alert, began: float, now: float) -> None:
        """Makes a Grafana annotation for something that is not a notification."""
        with self._change() as connection:
            _enqueue(connection, GRAFANA, {**asdict(alert), "began": began}, now)

    def notifications(self, limit: int) -> list[Notification]:
        """Returns the newest notifications, newest first."""
        rows = self._rows("SELECT * FROM notifications ORDER BY first_seen DESC, id DESC LIMIT ?", limit)
        return [_notification(row) for row in rows]

    def told(self, limit: int) -> list[Notification]:
        """Returns the newest notifications, and all that are still firing, even if they were sent long ago."""
        newest = self.notifications(limit)
        return newest + [one for one in self.unresolved() if one not in newest]

    def unresolved(self) -> list[Notification]:
        """Returns what is firing according to Alertmanager's notifications, newest first."""
        return [
            _notification(row)
            for row in self._rows(
                "SELECT * FROM notifications AS newest WHERE status = 'firing' AND NOT EXISTS ("
                "SELECT 1 FROM notifications WHERE fingerprint = newest.fingerprint "
                "AND (began > newest.began OR starts_at = newest.starts_at AND id > newest.id)) "
                "ORDER BY first_seen DESC, id DESC"
            )
        ]

    def forget(self, before: float) -> None:
        """Deletes what was last seen, or ended, before a Unix time."""
        with self._change() as connection:
            connection.execute("DELETE FROM notifications WHERE last_seen < ?", (before,))
            connection.execute("DELETE FROM deliveries WHERE ended < ?", (before,))

    def watch(self) -> dict[str, Any]:
        """Returns the last stored state of the dead-man watch; empty in a new file."""
        rows = self._rows("SELECT state FROM watch")
        return dict(json.loads(rows[0]["state"])) if rows else {}

    def keep_watch(self, state: Mapping[str, Any], callouts: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Stores the state of the dead-man watch and, in the same transaction, the callouts for its change.

        Args:
            state: What :meth:`watch` returns from now on.
            callouts: What to deliver, by channel.
            now: The Unix time.
        """
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO watch VALUES (1, ?)", (json.dumps(dict(state)),))
            for channel, payload in callouts.items():
                _enqueue(connection, channel, payload, now)

    def next_delivery(self, channel: str) -> Delivery | None:
        """Returns what this channel has to deliver next, due now or later: the oldest, because an end must not come
        first.
        """
        rows = self._rows("SELECT * FROM deliveries WHERE channel = ? AND ended IS NULL ORDER BY id LIMIT 1", channel)
        return next(
            (Delivery(row["id"], json.loads(row["payload"]), row["attempts"], row["due"]) for row in rows), None
        )

    def begin(self, delivery: Delivery) -> None:
        """Records an attempt before it is made, so that one that a kill interrupts is known."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET attempts = attempts + 1 WHERE id = ?", (delivery.id,))

    def end(self, delivery: Delivery, now: float, error: str = "") -> None:
        """Records the end: it was delivered, or given up for this reason."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET ended = ?, error = ? WHERE id = ?", (now, error, delivery.id))

    def postpone(self, delivery: Delivery, due: float, error: str) -> None:
        """Records that an attempt failed, and when to retry."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET due = ?, error = ? WHERE id = ?", (due, error, delivery.id))

    def pending(self) -> dict[str, int]:
        """Returns the number of pending deliveries by channel, without channels that have none."""
        rows = self._rows("SELECT channel, COUNT(*) AS number FROM deliveries WHERE ended IS NULL GROUP BY channel")
        return {row["channel"]: row["number"] for row in rows}


def _enqueue(connection: sqlite3.Connection, channel: str, payload: Mapping[str, Any], now: float) -> None:
    connection.execute(
        "INSERT INTO deliveries (channel, payload, created, due) VALUES (?, ?, ?, ?)",
        (channel, json.dumps(dict(payload)), now, now),
    )


def _keep(connection: sqlite3.Connection, alert: Alert, group: str, now: float) -> float | None:
    """Returns when the episode of this new alert began; None if it is a repeat, which is then counted."""
    rows = connection.execute(
        "SELECT * FROM notifications WHERE fingerprint = ? AND starts_at = ? ORDER BY id DESC",
        (alert.fingerprint, alert.starts_at),
    ).fetchall()
    known = _repeated(rows, alert)
    if known:
        connection.execute("UPDATE notifications SET last_seen = ?, times = times + 1 WHERE id = ?", (now, known["id"]))
        _fold(connection, rows, known, group)
        return None
    began = _began(connection, alert, rows, now)
    connection.execute(
        "INSERT INTO notifications VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
        (
            alert.fingerprint,
            alert.starts_at,
            alert.status,
            json.dumps(dict(alert.labels)),
            json.dumps(dict(alert.annotations)),
            alert.ends_at,
            alert.generator_url,
            now,
            now,
            began,
            group,
        ),
    )
    return began


def _began(connection: sqlite3.Connection, alert: Alert, rows: Sequence[sqlite3.Row], now: float) -> float:
    """Returns when the episode of a new notification began: after all earlier episodes, whatever the clock says."""
    if alert.status == "resolved":
        return float(rows[0]["began"]) if rows else alert.started
    before = connection.execute(
        "SELECT MAX(began) AS latest FROM notifications WHERE fingerprint = ?", (alert.fingerprint,)
    ).fetchone()["latest"]
    reported = now if rows else alert.started
    return reported if before is None else max(reported, math.nextafter(before, math.inf))


def _repeated(rows: Sequence[sqlite3.Row], alert: Alert) -> sqlite3.Row | None:
    """Returns which of an alert's rows, newest first, it repeats. A known end may arrive late, when the alert is firing
    again.
    """
    if alert.status == "firing":
        return rows[0] if rows and rows[0]["status"] == "firing" else None
    return next((row for row in rows if row["status"] == "resolved" and row["ends_at"] == alert.ends_at), None)


def _fold(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row], end: sqlite3.Row, group: str) -> None:
    """Removes a false episode: a second group reported the previous episode late, and now reports its end."""
    newest = rows[0]
    if newest["status"] == "firing" and newest["told_by"] == group != end["told_by"]:
        connection.execute("DELETE FROM notifications WHERE id = ?", (newest["id"],))
        connection.execute(
            "UPDATE notifications SET times = times + ? WHERE fingerprint = ? AND starts_at = ? AND began = ? "
            "AND status = 'firing'",
            (newest["times"], end["fingerprint"], end["starts_at"], end["began"]),
        )


def _notification(row: sqlite3.Row) -> Notification:
    status: Status = row["status"]
    alert = Alert(
        row["fingerprint"],
        row["starts_at"],
        status,
        json.loads(row["labels"]),
        json.loads(row["annotations"]),
        row["ends_at"],
        row["generator_url"],
    )
    return Notification(alert, row["began"], row["first_seen"], row["last_seen"], row["times"])
