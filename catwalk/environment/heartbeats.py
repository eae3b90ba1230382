"""How often a run that logs sends a heartbeat, and after how much silence it counts as lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from catwalk.environment import variables
from catwalk.errors import ConfigError

HEARTBEAT, LOST = "CATWALK_RUN_HEARTBEAT_SECONDS", "CATWALK_LOST_SECONDS"
_LEAST, _USUAL = 2, 3
"""Missed heartbeats after which a run is lost: one may be late."""
_LEAST_LOST = 30.0
"""Minimum seconds of silence: the journal pauses between writes, and the exporter sees a write one read later."""
_LONGEST = 30 * 86_400.0
"""Longest interval: a thread can't wait for centuries."""


@dataclass(frozen=True)
class Heartbeats:
    """The settings of heartbeats."""

    every_seconds: float = 60.0
    lost_after_seconds: float = _USUAL * 60.0
    """Seconds of silence."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Heartbeats:
        """Reads `CATWALK_RUN_HEARTBEAT_SECONDS` and `CATWALK_LOST_SECONDS`.

        Raises:
            ConfigError: One is not a valid number of seconds, or a single late heartbeat would make a run lost.
        """
        every = variables.seconds(HEARTBEAT, cls.every_seconds, most=_LONGEST, environment=environment)
        lost = variables.seconds(LOST, max(_USUAL * every, _LEAST_LOST), environment=environment)
        if lost < _LEAST * every:
            raise ConfigError(f"{LOST} must be at least twice {HEARTBEAT}, which is {every:g}, not {lost:g}")
        if lost < _LEAST_LOST:
            raise ConfigError(
                f"{LOST} must be at least {_LEAST_LOST:g}, not {lost:g}: heartbeats are seen with a delay"
            )
        return cls(every, lost)
