"""What a look at a part has shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """What one look at one part has shown."""

    part: str
    verdict: Verdict
    finding: str
    remedy: str = ""
    """What to do; empty where nothing is wrong."""

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return asdict(self)


class Unwell(Exception):
    """Something a check has found: finding, remedy, verdict."""

    def __init__(self, finding: str, remedy: str, verdict: Verdict = "FAIL") -> None:
        super().__init__(finding)
        self.finding, self.remedy, self.verdict = finding, remedy, verdict
