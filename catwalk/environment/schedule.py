"""When scheduled runs are due: read from `CATWALK_SCHEDULE`, which Airflow starts them by, or said by a run that logs.

`CATWALK_SCHEDULE_SECONDS` goes before it, for a DAG whose schedule is no cron, such as a timedelta.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

from catwalk.environment import variables
from catwalk.errors import ConfigError

VARIABLE = "CATWALK_SCHEDULE"
DEFAULT = "0 3 * * *"
_NONE = "None"
NEVER = (_NONE, "@once", "@continuous")
"""Schedules by which no run is ever due at a time that can be foretold."""
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@midnight": "0 0 * * *",
    "@annually": "0 0 1 1 *",
}
"""As Airflow reads them; croniter does not know all of them, and Airflow leaves the last two to it."""
UTC_ZONE = "UTC"
_SPAN = re.compile(r"(\d+(?:\.\d+)?(?:e\+?\d+)?)\s*(s|min|h|d|w)")
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "min": 60, "s": 1}
_EVERY = "every "
_RANDOM = re.compile(r"(^|[\s,])R", re.IGNORECASE)
"""A field by which croniter draws lots, each process its own."""


def airflow_schedule(environment: Mapping[str, str] = os.environ) -> str | None:
    """`CATWALK_SCHEDULE` as a DAG takes it: five fields of cron, a preset, or None where nothing is scheduled.

    Airflow itself is not asked: `make up` checks this as well, and importing Airflow takes seconds.

    Raises:
        ConfigError: there is no such time.
    """
    text = environment.get(VARIABLE, "").strip() or DEFAULT
    if text not in NEVER and not _fires(PRESETS.get(text, text)):
        raise ConfigError(
            f"{VARIABLE} must be five fields of cron that fire, such as {DEFAULT!r}, a preset such as @daily, or None, "
            f"not {text!r}"
        )
    return None if text == _NONE else text


def zone(name: str) -> ZoneInfo:
    """An IANA time zone.

    Raises:
        ConfigError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; no name; a folder of zones
        raise ConfigError(f"there is no time zone {name!r:.60}; its IANA name is one such as Europe/Berlin") from None


def span(text: str) -> float:
    """Seconds of a time such as ``24h``, ``90 min`` or ``7d``; 0.0 where it is none."""
    found = _SPAN.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def span_text(seconds: float) -> str:
    """In the largest unit of which it is a whole number, but a day is 24 hours, as people write it."""
    units = ("h", "min") if seconds == _UNITS["d"] else ("d", "h", "min")
    unit = next((unit for unit in units if seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:.15g} {unit}"


def _known(name: str) -> bool:
    with suppress(ConfigError):
        return bool(zone(name))
    return False


def _fires(cron: str) -> bool:
    from croniter import croniter

    foretold = len(cron.split()) == 5 and not _RANDOM.search(cron) and croniter.is_valid(cron)
    return foretold and any(True for _ in Schedule(cron).after(time.time()))


@dataclass(frozen=True)
class Schedule:
    """When runs are due."""

    cron: str = DEFAULT
    """Five fields; empty: no run is ever due."""
    seconds: float = 0.0
    """Between two runs, in place of a cron; 0: the cron counts."""
    zone: str = UTC_ZONE
    """IANA name of the time zone whose clock the cron reads; Airflow's is UTC."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Schedule:
        """Reads `CATWALK_SCHEDULE` and `CATWALK_SCHEDULE_SECONDS`.

        Raises:
            ConfigError: there is no such time, or the seconds are no positive number.
        """
        if environment.get("CATWALK_SCHEDULE_SECONDS", "").strip():
            return cls("", variables.seconds("CATWALK_SCHEDULE_SECONDS", 0.0, environment=environment))
        return cls.of(airflow_schedule(environment) or _NONE)

    @classmethod
    def of(cls, text: str) -> Schedule:
        """The schedule that a DAG has, or a run says, also in the words of ``str(schedule)``; one whose times can't be
        foretold is never due. A sixth word of a cron is its time zone."""
        if text.startswith(_EVERY):
            return cls("", span(text.removeprefix(_EVERY)))
        fields = PRESETS.get(text, text).split()
        cron, named = " ".join(fields[:5]), " ".join(fields[5:]) or UTC_ZONE
        return cls(cron, zone=named) if _known(named) and _fires(cron) else cls("")

    def __str__(self) -> str:
        if self.seconds:
            return f"{_EVERY}{span_text(self.seconds)}"
        return self.cron if self.zone == UTC_ZONE else f"{self.cron} {self.zone}"

    def after(self, moment: float) -> Iterator[float]:
        """The times after this one at which runs are due, Unix time; none where none is ever due."""
        from croniter import croniter
        from croniter.croniter import CroniterBadDateError

        if self.seconds:
            yield from (moment + number * self.seconds for number in count(1))
        elif self.cron:
            clock = zone(self.zone)
            times = croniter(self.cron, datetime.fromtimestamp(moment, clock))
            with suppress(CroniterBadDateError):  # no such day within croniter's horizon
                while True:
                    due = float(times.get_next(float))
                    if not (self._at_a_fixed_time and datetime.fromtimestamp(due, clock).fold):
                        yield due

    @property
    def _at_a_fixed_time(self) -> bool:
        """Whether runs are due by the clock, not each so many minutes or hours: cron starts such a job once in a night
        whose clock shows an hour twice, where croniter finds it twice."""
        return not any(field.startswith("*") for field in self.cron.split()[:2])
