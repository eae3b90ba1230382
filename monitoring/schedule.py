"""When scheduled runs are due: read from `CATWALK_SCHEDULE`, which Airflow starts them by.

`CATWALK_SCHEDULE_SECONDS` goes before it, for a DAG whose schedule is no cron, such as a timedelta.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from croniter import croniter
from croniter.croniter import CroniterBadDateError, CroniterError

from ml.errors import ConfigError
from monitoring.summaries import positive_seconds

DEFAULT = "0 3 * * *"
_NEVER = ("", "None", "@once", "@continuous")
"""Schedules by which no run is ever due at a time that can be foretold."""
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""As Airflow reads them; croniter does not know all of them."""


@dataclass(frozen=True)
class Schedule:
    """When runs are due, in UTC, as Airflow has it."""

    cron: str = DEFAULT
    """Empty: no run is ever due."""
    seconds: float = 0.0
    """Between two runs, in place of a cron; 0: the cron counts."""

    @classmethod
    def from_environment(cls) -> Schedule:
        """Reads `CATWALK_SCHEDULE` and `CATWALK_SCHEDULE_SECONDS`.

        Raises:
            ConfigError: there is no such time, or the seconds are no positive number.
        """
        if os.environ.get("CATWALK_SCHEDULE_SECONDS"):
            return cls("", positive_seconds("CATWALK_SCHEDULE_SECONDS", 0.0))
        text = os.environ.get("CATWALK_SCHEDULE", DEFAULT).strip()
        schedule = cls("" if text in _NEVER else PRESETS.get(text, text))
        try:
            sound = not schedule.cron or any(True for _ in schedule.after(time.time()))
        except (CroniterError, ValueError):
            sound = False
        if not sound:
            raise ConfigError(
                f"CATWALK_SCHEDULE must be a cron expression that fires, such as '{DEFAULT}', or empty, not {text!r}"
            )
        return schedule

    def __str__(self) -> str:
        return f"every {self.seconds:g} s" if self.seconds else self.cron

    def after(self, moment: float) -> Iterator[float]:
        """The times after this one at which runs are due, Unix time; none where none is ever due."""
        if self.seconds:
            yield from (moment + number * self.seconds for number in count(1))
        elif self.cron:
            times = croniter(self.cron, datetime.fromtimestamp(moment, UTC))
            with suppress(CroniterBadDateError):  # the last time has passed
                while True:
                    yield float(times.get_next(float))
