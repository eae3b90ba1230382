"""The courier's tables, and the migration of an older version's file: in place, in one transaction."""

from __future__ import annotations

import sqlite3

from catwalk.clients.episodes import unix_time
from catwalk.errors import ConfigError

VERSION = 1
"""The `PRAGMA user_version` of a file. Version 0 stored one firing and one resolved notification per fingerprint and
start.
"""

# A row is a notification with its repeats; the rows of an alert, ordered by id, are its sequence.
_NOTIFICATIONS = """
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    status TEXT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    generator_url TEXT NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    times INTEGER NOT NULL,
    began REAL NOT NULL,
    told_by TEXT NOT NULL
)
"""
_OTHERS = (
    "CREATE INDEX IF NOT EXISTS sequence ON notifications (fingerprint, starts_at)",
    "CREATE INDEX IF NOT EXISTS newest ON notifications (first_seen)",
    """
    CREATE TABLE IF NOT EXISTS deliveries (
        id INTEGER PRIMARY KEY,
        channel TEXT NOT NULL,
        payload TEXT NOT NULL,
        created REAL NOT NULL,
        due REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        ended REAL,
        error TEXT NOT NULL DEFAULT ''
    )
    """,
    "CREATE INDEX IF NOT EXISTS pending ON deliveries (channel, due) WHERE ended IS NULL",
    "CREATE TABLE IF NOT EXISTS watch (only INTEGER PRIMARY KEY CHECK (only = 1), state TEXT NOT NULL)",
)
# An alert whose last notification was firing is firing, even if it was resolved before.
_FIRES_AGAIN = """
    FROM old AS firing JOIN old AS resolved USING (fingerprint, starts_at)
    WHERE firing.status = 'firing' AND resolved.status = 'resolved' AND firing.last_seen > resolved.last_seen
"""
_FIRED_BEFORE_TOO = "AND firing.first_seen <= resolved.last_seen"
_FROM_VERSION_0 = (
    "DROP INDEX IF EXISTS newest",
    "ALTER TABLE notifications RENAME TO old",
    _NOTIFICATIONS,
    "INSERT INTO notifications SELECT *, unix_time(starts_at), '' FROM old",
    f"UPDATE notifications SET began = first_seen WHERE id IN (SELECT firing.id {_FIRES_AGAIN})",
    f"""
    UPDATE notifications SET times = times - 1, began = unix_time(starts_at), last_seen =
        (SELECT MAX(first_seen) FROM old
        WHERE fingerprint = notifications.fingerprint AND starts_at = notifications.starts_at)
    WHERE id IN (SELECT firing.id {_FIRES_AGAIN} {_FIRED_BEFORE_TOO})
    """,
    f"""
    INSERT INTO notifications
    SELECT NULL, fingerprint, starts_at, 'firing', firing.labels, firing.annotations, '', firing.generator_url,
        firing.last_seen, firing.last_seen, 1, firing.last_seen, '' {_FIRES_AGAIN} {_FIRED_BEFORE_TOO}
    """,
    "DROP TABLE old",
)


def prepare(connection: sqlite3.Connection) -> None:
    """Creates the tables in a new file, and migrates those of an older version.

    Raises:
        ConfigError: a newer version wrote the file.
    """
    connection.create_function("unix_time", 1, unix_time)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _steps(connection):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _steps(connection: sqlite3.Connection) -> tuple[str, ...]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise ConfigError(f"a newer Catwalk wrote it (version {version}; this one supports {VERSION})")
    if version == VERSION:
        return ()
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'notifications'").fetchone()
    return (*(_FROM_VERSION_0 if known else (_NOTIFICATIONS,)), *_OTHERS)
