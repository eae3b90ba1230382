"""The result of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """The result of checking one part."""

    part: str
    verdict: Verdict
    finding: str
    remedy: str = ""
    """What to do; empty if nothing is wrong."""

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return asdict(self)


class Unwell(Exception):
    """A problem that a check found: finding, remedy, verdict."""

    def __init__(self, finding: str, remedy: str, verdict: Verdict = "FAIL") -> None:
        super().__init__(finding)
        self.finding, self.remedy, self.verdict = finding, remedy, verdict
