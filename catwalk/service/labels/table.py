"""Labels in a file: CSV with the columns ``id``, ``label`` and, if known, ``time``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from catwalk.errors import InputError

Row = tuple[int, str, str, str]
"""Line of the file, id, label, and time; the last is empty if the file has none."""
_FORM = "expected CSV in UTF-8 with the columns id and label, and time if it is known"


def rows(path: Path) -> Iterator[Row]:
    """Yields the rows of a file, whose first line names its columns; other columns are ignored.

    Raises:
        InputError: It can't be read, or has another format.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(csv.DictReader(file, strict=True), str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {_FORM}; {error}") from error


def _rows(reader: csv.DictReader[str], path: str) -> Iterator[Row]:
    columns = [name.strip().lower() for name in reader.fieldnames or []]
    if "id" not in columns or "label" not in columns or len(set(columns)) < len(columns):
        raise InputError(f"{path}: {_FORM}; its first line has {', '.join(columns)[:100] or 'nothing'}")
    reader.fieldnames = columns
    for row in reader:
        if row.get(None) or row["label"] is None:
            raise InputError(f"{path}, line {reader.line_num}: expected {len(columns)} fields; got another number")
        yield reader.line_num, row["id"], row["label"], row.get("time") or ""


def seconds(text: str) -> float:
    """Parses a time of a file: ISO 8601, in UTC unless it names a zone, or Unix seconds.

    Raises:
        InputError: It is not a time.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"time: expected one such as 2026-11-27T14:00:00Z, or Unix seconds; got {text!r:.40}"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
