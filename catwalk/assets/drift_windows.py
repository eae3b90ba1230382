"""The windows of Prometheus' rules of drift, which are an hour and a day, unless somebody can't wait for so long.

Everything that these rules do in time hangs on the two: counts are recorded by the hour, an alert waits for an hour and
stays for a day, and rules are evaluated each minute, or four times an hour. The least numbers of examples stay, and so
does the level of a test, of which there is one an hour: statistics know no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from catwalk import assets
from catwalk.errors import ConfigError

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST = 4 * 7 * _UNITS["d"]
_ESTIMATED = tuple(f"catwalk_service_estimated{of}" for of in ("", "_right", "_variance"))
"""Counters of a day."""
_SCRAPES = 4
"""In an hour at least: an increase of fewer is mostly guessed."""


@dataclass(frozen=True)
class DriftWindows:
    """What the rules take for an hour and for a day, in seconds."""

    hour: int = _UNITS["h"]
    day: int = _UNITS["d"]

    @classmethod
    def read(cls, name: str, text: str, scrape_seconds: int) -> DriftWindows:
        """Two durations, such as ``20s,2m``.

        Args:
            name: of the setting, for complaints.
            text: as somebody has typed it.
            scrape_seconds: how often Prometheus counts.

        Raises:
            ConfigError: it is none, or the rules can't work with it.
        """
        found = re.fullmatch(r"([1-9]\d{0,7})([dhms]),([1-9]\d{0,7})([dhms])", text)
        if not found:
            raise ConfigError(
                f"{name} must be two durations, of an hour and of a day, such as 20s,2m, not {text!r:.60}"
            )
        hour, day = (int(found[number]) * _UNITS[found[number + 1]] for number in (1, 3))
        if day > _LONGEST or day <= hour or day % hour:
            raise ConfigError(
                f"{name}: the second must be a multiple of the first, and {_LONGEST // _UNITS['d']}d at most"
            )
        if hour < _SCRAPES * scrape_seconds:
            raise ConfigError(
                f"{name}: the first must be {_SCRAPES * scrape_seconds}s at least, in which Prometheus counts "
                f"{_SCRAPES} times at an interval of {scrape_seconds}s"
            )
        return cls(hour, day)

    def rules(self, path: Path) -> str:
        """The text of a file of rules, with these windows."""
        text = path.read_text()
        if not path.name.startswith("service."):
            return text
        for committed, ours in self._changes().items():
            text = text.replace(committed, ours)
        return text

    def _changes(self) -> dict[str, str]:
        """What the committed rules say → what they say with these windows."""
        hour, day, often = map(_told, (self.hour, self.day, min(60, self.hour // _SCRAPES)))
        return {
            "[1d:1h]": f"[{day}:{hour}]",
            "catwalk_service_bin_total[1h]": f"catwalk_service_bin_total[{hour}]",
            **{f"{of}_total[1d]": f"{of}_total[{day}]" for of in _ESTIMATED},
            "model:service_bin:increase1h": f"model:service_bin:increase{hour}",
            "for: 1h\n        keep_firing_for: 1d": f"for: {hour}\n        keep_firing_for: {day}",
            "interval: 1m": f"interval: {often}",
        }


USUAL = DriftWindows()
"""An hour and a day."""


def files() -> list[Path]:
    """The committed files of rules."""
    return sorted(assets.path("prometheus/rules").glob("*.yml"))


def _told(seconds: int) -> str:
    """As Prometheus reads it, in the largest unit that it is a multiple of."""
    unit, length = next((unit, length) for unit, length in _UNITS.items() if seconds % length == 0)
    return f"{seconds // length}{unit}"
