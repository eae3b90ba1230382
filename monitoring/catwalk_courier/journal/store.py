"""What the courier remembers, in one SQLite file: notifications, the dead-man watch, and what is still to be delivered.

Every change is on the disk before its call returns (WAL, ``synchronous=FULL``): a killed process forgets nothing.
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
    """Something that one channel has to deliver."""

    id: int
    payload: Mapping[str, Any]
    attempts: int
    """Tries so far, those included that a kill cut short."""
    due: float


class Store:
    """One file; may be used from any thread."""

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
        """Ends all use of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing."""
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
        """Keeps alerts; returns those that are news. A repeat of what is known already is only counted.

        Args:
            alerts: of one notification.
            now: Unix time.
            annotate: the new ones are also to become Grafana annotations (never the Watchdog).
            group: of Alertmanager that tells of them; each tells of an alert in the order of its changes.
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
        """Makes a Grafana annotation of what is no notification."""
        with self._change() as connection:
            _enqueue(connection, GRAFANA, {**asdict(alert), "began": began}, now)

    def notifications(self, limit: int) -> list[Notification]:
        """The newest, newest first."""
        rows = self._rows("SELECT * FROM notifications ORDER BY first_seen DESC, id DESC LIMIT ?", limit)
        return [_notification(row) for row in rows]

    def told(self, limit: int) -> list[Notification]:
        """The newest, and all that fires still: it may have been told long ago."""
        newest = self.notifications(limit)
        return newest + [one for one in self.unresolved() if one not in newest]

    def unresolved(self) -> list[Notification]:
        """What fires as far as Alertmanager has told, newest first."""
        return [
            _notification(row)
            for row in self._rows(
                "SELECT * FROM notifications AS told WHERE status = 'firing' AND NOT EXISTS ("
                "SELECT 1 FROM notifications WHERE fingerprint = told.fingerprint "
                "AND (began > told.began OR starts_at = told.starts_at AND id > told.id)) "
                "ORDER BY first_seen DESC, id DESC"
            )
        ]

    def forget(self, before: float) -> None:
        """Drops what was last seen, or ended, before a Unix time."""
        with self._change() as connection:
            connection.execute("DELETE FROM notifications WHERE last_seen < ?", (before,))
            connection.execute("DELETE FROM deliveries WHERE ended < ?", (before,))

    def watch(self) -> dict[str, Any]:
        """The state of the dead-man watch as it was last kept; empty in a new file."""
        rows = self._rows("SELECT state FROM watch")
        return dict(json.loads(rows[0]["state"])) if rows else {}

    def keep_watch(self, state: Mapping[str, Any], callouts: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Keeps the state of the dead-man watch and, with it, the call-outs that its change asks for.

        Args:
            state: what :meth:`watch` returns from now on.
            callouts: channel → what to deliver.
            now: Unix time.
        """
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO watch VALUES (1, ?)", (json.dumps(dict(state)),))
            for channel, payload in callouts.items():
                _enqueue(connection, channel, payload, now)

    def next_delivery(self, channel: str) -> Delivery | None:
        """What this channel has to deliver next, due now or later; the oldest, since an end must not come first."""
        rows = self._rows("SELECT * FROM deliveries WHERE channel = ? AND ended IS NULL ORDER BY id LIMIT 1", channel)
        return next(
            (Delivery(row["id"], json.loads(row["payload"]), row["attempts"], row["due"]) for row in rows), None
        )

    def begin(self, delivery: Delivery) -> None:
        """Notes a try before it is made, so that one that a kill cuts short is known."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET attempts = attempts + 1 WHERE id = ?", (delivery.id,))

    def end(self, delivery: Delivery, now: float, error: str = "") -> None:
        """Notes that there is nothing left to do: it was delivered, or given up for this reason."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET ended = ?, error = ? WHERE id = ?", (now, error, delivery.id))

    def postpone(self, delivery: Delivery, due: float, error: str) -> None:
        """Notes that a try has failed, and when to try again."""
        with self._change() as connection:
            connection.execute("UPDATE deliveries SET due = ?, error = ? WHERE id = ?", (due, error, delivery.id))

    def pending(self) -> dict[str, int]:
        """Channel → deliveries that are still to be made; channels without any are left out."""
        rows = self._rows("SELECT channel, COUNT(*) AS number FROM deliveries WHERE ended IS NULL GROUP BY channel")
        return {row["channel"]: row["number"] for row in rows}


def _enqueue(connection: sqlite3.Connection, channel: str, payload: Mapping[str, Any], now: float) -> None:
    connection.execute(
        "INSERT INTO deliveries (channel, payload, created, due) VALUES (?, ?, ?, ?)",
        (channel, json.dumps(dict(payload)), now, now),
    )


def _keep(connection: sqlite3.Connection, alert: Alert, group: str, now: float) -> float | None:
    """When the episode began of which this alert is news; None where it is a repeat, which is then counted."""
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
    """When the episode of a notification that is news began: after all that began before, whatever the clock says."""
    if alert.status == "resolved":
        return float(rows[0]["began"]) if rows else alert.started
    before = connection.execute(
        "SELECT MAX(began) AS latest FROM notifications WHERE fingerprint = ?", (alert.fingerprint,)
    ).fetchone()["latest"]
    told = now if rows else alert.started
    return told if before is None else max(told, math.nextafter(before, math.inf))


def _repeated(rows: Sequence[sqlite3.Row], alert: Alert) -> sqlite3.Row | None:
    """Which of an alert's rows, newest first, it repeats. A known end may come late, when the alert fires anew."""
    if alert.status == "firing":
        return rows[0] if rows and rows[0]["status"] == "firing" else None
    return next((row for row in rows if row["status"] == "resolved" and row["ends_at"] == alert.ends_at), None)


def _fold(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row], end: sqlite3.Row, group: str) -> None:
    """Takes back an episode that was none: a second group was late to tell of the one before, and now of its end."""
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
