"""When scheduled runs are due: from `CATWALK_SCHEDULE`, by which Airflow starts them, or from a run that logs.

`CATWALK_SCHEDULE_SECONDS` overrides it, for a DAG whose schedule is not a cron expression, such as a timedelta.
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
"""Schedules without predictable times, by which no run is ever due."""
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
"""Presets as Airflow reads them; croniter lacks some of them, and Airflow leaves the last two to croniter."""
UTC_ZONE = "UTC"
_SPAN = re.compile(r"(\d+(?:\.\d+)?(?:e\+?\d+)?)\s*(s|min|h|d|w)")
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "min": 60, "s": 1}
_EVERY = "every "
_RANDOM = re.compile(r"(^|[\s,])R", re.IGNORECASE)
"""A field whose value croniter draws at random, differently in each process."""


def airflow_schedule(environment: Mapping[str, str] = os.environ) -> str | None:
    """`CATWALK_SCHEDULE` for a DAG: five cron fields, a preset, or None if nothing is scheduled.

    It doesn't use Airflow: `make up` checks this too, and importing Airflow takes seconds.

    Raises:
        ConfigError: The schedule is invalid.
    """
    text = environment.get(VARIABLE, "").strip() or DEFAULT
    if text not in NEVER and not _fires(PRESETS.get(text, text)):
        raise ConfigError(
            f"{VARIABLE} must be five cron fields with a next time, such as {DEFAULT!r}, a preset such as @daily, or "
            "None, "
            f"not {text!r}"
        )
    return None if text == _NONE else text


def zone(name: str) -> ZoneInfo:
    """An IANA time zone.

    Raises:
        ConfigError: There is none with this name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; not a name; a folder of zones
        raise ConfigError(f"there is no time zone {name!r:.60}; use an IANA name such as Europe/Berlin") from None


def span(text: str) -> float:
    """The seconds of a duration such as ``24h``, ``90 min`` or ``7d``; 0.0 if the text is not one."""
    found = _SPAN.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def span_text(seconds: float) -> str:
    """A duration in the largest unit that divides it, but one day is 24 hours, as people write it."""
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
    """Five cron fields; empty if no run is ever due."""
    seconds: float = 0.0
    """Seconds between two runs, in place of a cron; 0 if the cron counts."""
    zone: str = UTC_ZONE
    """IANA name of the cron's time zone; Airflow's is UTC."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Schedule:
        """Reads `CATWALK_SCHEDULE` and `CATWALK_SCHEDULE_SECONDS`.

        Raises:
            ConfigError: The schedule is invalid, or the seconds are not a positive number.
        """
        if environment.get("CATWALK_SCHEDULE_SECONDS", "").strip():
            return cls("", variables.seconds("CATWALK_SCHEDULE_SECONDS", 0.0, environment=environment))
        return cls.of(airflow_schedule(environment) or _NONE)

    @classmethod
    def of(cls, text: str) -> Schedule:
        """The schedule of a DAG or a run, also in the form of ``str(schedule)``; one without predictable times is never
        due. A sixth field of a cron is its time zone.
        """
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
        """The Unix times after `moment` at which runs are due; empty if none is ever due."""
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
        """Whether runs are due at fixed times, not every few minutes or hours: when the clock repeats an hour, cron
        starts such a job once, but croniter finds it twice.
        """
        return not any(field.startswith("*") for field in self.cron.split()[:2])
