"""A measurement and how it is shown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """Repeated readings of one quantity, taken side by side with what they are compared with."""

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
        spread = f"{self._text(min(self.values))} to {self._text(max(self.values))}" if len(self.values) > 1 else "-"
        return f"| {self.name} | {self._text(self.median)} | {spread} | {len(self.values)} | {self.target} |"

    def _text(self, value: float) -> str:
        digits = 0 if value == 0 or abs(value) >= 1_000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
        return f"{value:,.{digits}f}{self.unit}"


HEADER = "| what | median | range | n | promise |\n|---|---|---|---|---|"
