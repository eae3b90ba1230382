"""How often a run that logs says that it lives, and from when on its silence means that it does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from catwalk.environment import variables
from catwalk.errors import ConfigError

HEARTBEAT, LOST = "CATWALK_RUN_HEARTBEAT_SECONDS", "CATWALK_LOST_SECONDS"
_LEAST, _USUAL = 2, 3
"""Heartbeats that a run is silent for before it is lost: one may come late."""


@dataclass(frozen=True)
class Heartbeats:
    """What the environment says."""

    every_seconds: float = 60.0
    lost_after_seconds: float = _USUAL * 60.0
    """Of silence."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Heartbeats:
        """Reads `CATWALK_RUN_HEARTBEAT_SECONDS` and `CATWALK_LOST_SECONDS`.

        Raises:
            ConfigError: one is no positive number, or a single late heartbeat would make a run lost.
        """
        every = variables.seconds(HEARTBEAT, cls.every_seconds, environment=environment)
        lost = variables.seconds(LOST, _USUAL * every, environment=environment)
        if lost < _LEAST * every:
            raise ConfigError(f"{LOST} must be twice {HEARTBEAT}, which is {every:g}, at least, not {lost:g}")
        return cls(every, lost)
