"""Names of the metrics that each Airflow can send, one list for each version; `__main__.py` writes them."""

from __future__ import annotations

from pathlib import Path

from tests.catwalk.telemetry.airflow_names.source import Sent

FOLDER = Path(__file__).parent


def versions() -> list[str]:
    """The versions of the lists, oldest first."""
    return sorted(
        (path.stem for path in FOLDER.glob("*.txt")), key=lambda text: [int(part) for part in text.split(".")]
    )


def names(version: str) -> list[Sent]:
    """Returns what an Airflow of this version can send."""
    lines = (FOLDER / f"{version}.txt").read_text().splitlines()
    return [_read(line) for line in lines if not line.startswith("#")]


def _read(line: str) -> Sent:
    method, name, tags = line.split()
    return Sent(method, name, () if tags == "-" else tuple(tags.split(",")))
