"""The windows of the drift rules in Prometheus: an hour and a day, or shorter ones for a demo.

All times in these rules depend on the two: counts are recorded per hour, an alert waits for an hour and keeps firing
for a day, and rules are evaluated every minute, or four times per hour. The minimum numbers of examples and the level
of the hourly test don't change, because statistics don't depend on the clock.
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
"""Counters that the rules read over the day window."""
_SCRAPES = 4
"""Minimum number of scrapes in the hour window: with fewer, an increase is mostly extrapolated."""


@dataclass(frozen=True)
class DriftWindows:
    """The windows that the rules use as an hour and a day, in seconds."""

    hour: int = _UNITS["h"]
    day: int = _UNITS["d"]

    @classmethod
    def read(cls, name: str, text: str, scrape_seconds: int) -> DriftWindows:
        """Two durations, such as ``20s,2m``.

        Args:
            name: The setting's name, for error messages.
            text: Its value, as typed.
            scrape_seconds: Prometheus' scrape interval.

        Raises:
            ConfigError: It has another form, or the rules can't use it.
        """
        found = re.fullmatch(r"([1-9]\d{0,7})([dhms]),([1-9]\d{0,7})([dhms])", text)
        if not found:
            raise ConfigError(
                f"{name} must be two durations, for the hour and the day, such as 20s,2m, not {text!r:.60}"
            )
        hour, day = (int(found[number]) * _UNITS[found[number + 1]] for number in (1, 3))
        if day > _LONGEST or day <= hour or day % hour:
            raise ConfigError(
                f"{name}: the second must be a multiple of the first, and at most {_LONGEST // _UNITS['d']}d"
            )
        if hour < _SCRAPES * scrape_seconds:
            raise ConfigError(
                f"{name}: the first must be at least {_SCRAPES * scrape_seconds}s, for {_SCRAPES} scrapes at an "
                f"interval of {scrape_seconds}s"
            )
        return cls(hour, day)

    def rules(self, path: Path) -> str:
        """The text of a rules file with these windows."""
        text = path.read_text()
        if not path.name.startswith("service."):
            return text
        for committed, ours in self._changes().items():
            text = text.replace(committed, ours)
        return text

    def _changes(self) -> dict[str, str]:
        """Text in the committed rules → its replacement with these windows."""
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
"""The default: an hour and a day."""


def files() -> list[Path]:
    """The committed rules files."""
    return sorted(assets.path("prometheus/rules").glob("*.yml"))


def _told(seconds: int) -> str:
    """A duration for Prometheus, in the largest unit that it is a multiple of."""
    unit, length = next((unit, length) for unit, length in _UNITS.items() if seconds % length == 0)
    return f"{seconds // length}{unit}"
