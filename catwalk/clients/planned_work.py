"""Announces planned work: for that time, alerts send no notifications and a silent Watchdog makes no callout.

Both `make down` and `catwalk silence` use it: it creates a silence in Alertmanager, and pauses the courier's dead-man
watch.
"""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.clients import alertmanager
from catwalk.clients.courier import plan_stop


@dataclass(frozen=True)
class Chain:
    """The URLs of Alertmanager and the courier; empty for a part that is left out."""

    alertmanager_url: str
    courier_url: str
    password: str | None = None
    """Default: `CATWALK_MONITORING_PASSWORD`."""

    def announce(self, seconds: float, reason: str) -> None:
        """Announces planned work; replaces an earlier announcement.

        Raises:
            AlertmanagerError, CourierError: One request failed; the other may have succeeded.
        """
        if self.courier_url:
            plan_stop(self.courier_url, seconds, self.password)
        if self.alertmanager_url:
            alertmanager.silence_all(self.alertmanager_url, seconds, reason, self.password)

    def end(self) -> int:
        """Ends planned work: notifications resume. Returns the number of Alertmanager's silences that it ended.

        Raises:
            AlertmanagerError, CourierError: One request failed; the other may have succeeded.
        """
        ended = 0
        if self.alertmanager_url:
            ended = alertmanager.end_planned_silences(self.alertmanager_url, self.password)
        if self.courier_url:
            plan_stop(self.courier_url, 0, self.password)
        return ended
