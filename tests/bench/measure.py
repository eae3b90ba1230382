"""A measurement and how it is shown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Measurement:
    """Repeated readings of one quantity, taken side by side with what they are compared with."""

    header: ClassVar[str] = "| what | median | range | n | promise |\n|---|---|---|---|---|"
    name: str
    values: list[float]
    unit: str
    target: str
    """What the project promises or aims at, in words."""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def row(self) -> str:
        """Returns a line of a table in docs/measurements.md."""
        return (
            f"| {self.name} | {_text(self.median, self.unit)} | {_range(self.values, self.unit)} | {len(self.values)} "
            f"| {self.target} |"
        )


@dataclass(frozen=True)
class Growth:
    """Repeated readings of one quantity at several sizes."""

    name: str
    values: dict[int, list[float]]
    """Size → readings, if it was measured. The range, n and the promise are about the last size."""
    unit: str
    target: str
    """As in :class:`Measurement`."""

    @property
    def header(self) -> str:
        """Returns the head of a table with a column for each size."""
        sizes = " | ".join(f"{size:,}" for size in self.values)
        return f"| what | {sizes} | range | n | promise |\n|---|{'---|' * len(self.values)}---|---|---|"

    @property
    def row(self) -> str:
        """Returns a line of a table in docs/measurements.md."""
        medians = " | ".join(
            _text(statistics.median(values), self.unit) if values else "-" for values in self.values.values()
        )
        last = [*self.values.values()][-1]
        return f"| {self.name} | {medians} | {_range(last, self.unit)} | {len(last)} | {self.target} |"


def _range(values: list[float], unit: str) -> str:
    return f"{_text(min(values), unit)} to {_text(max(values), unit)}" if len(values) > 1 else "-"


def _text(value: float, unit: str) -> str:
    digits = 0 if value == 0 or abs(value) >= 1_000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}{unit}"
