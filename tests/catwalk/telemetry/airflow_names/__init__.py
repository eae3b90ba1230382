"""Names of metrics that each Airflow can send, one list a version; `__main__.py` makes them anew."""

from __future__ import annotations

from pathlib import Path

from tests.catwalk.telemetry.airflow_names.source import Sent

FOLDER = Path(__file__).parent


def versions() -> list[str]:
    """Of the lists, the oldest first."""
    return sorted(
        (path.stem for path in FOLDER.glob("*.txt")), key=lambda text: [int(part) for part in text.split(".")]
    )


def names(version: str) -> list[Sent]:
    """What an Airflow of this version can send."""
    lines = (FOLDER / f"{version}.txt").read_text().splitlines()
    return [_read(line) for line in lines if not line.startswith("#")]


def _read(line: str) -> Sent:
    method, name, tags = line.split()
    return Sent(method, name, () if tags == "-" else tuple(tags.split(",")))
