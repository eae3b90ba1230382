"""Announces planned work: for so long nobody is told of alerts, nor called out because the Watchdog is silent.

`make down` and `catwalk silence` do it alike: a silence in Alertmanager, which remembers it, and a word to the
courier's dead-man watch.
"""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.clients import alertmanager
from catwalk.clients.courier import plan_stop


@dataclass(frozen=True)
class Chain:
    """Who has to be told: where they answer, empty for a part that is left out."""

    alertmanager_url: str
    courier_url: str
    password: str | None = None
    """Default `CATWALK_MONITORING_PASSWORD`."""

    def announce(self, seconds: float, reason: str) -> None:
        """Planned work begins; it takes the place of what was announced before.

        Raises:
            AlertmanagerError, CourierError: one was not told; the other may have been.
        """
        if self.courier_url:
            plan_stop(self.courier_url, seconds, self.password)
        if self.alertmanager_url:
            alertmanager.silence_all(self.alertmanager_url, seconds, reason, self.password)

    def end(self) -> int:
        """Planned work is over: alerts are told again. Returns how many silences of Alertmanager that has ended.

        Raises:
            AlertmanagerError, CourierError: one was not told; the other may have been.
        """
        ended = 0
        if self.alertmanager_url:
            ended = alertmanager.end_planned_silences(self.alertmanager_url, self.password)
        if self.courier_url:
            plan_stop(self.courier_url, 0, self.password)
        return ended
