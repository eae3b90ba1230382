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
_LEAST_LOST = 30.0
"""The journal pauses between writes, and the exporter sees each a read of the ledger later, however often they come."""
_LONGEST = 30 * 86_400.0
"""No thread waits for centuries."""


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
            ConfigError: one is no such number of seconds, or a single late heartbeat would make a run lost.
        """
        every = variables.seconds(HEARTBEAT, cls.every_seconds, most=_LONGEST, environment=environment)
        lost = variables.seconds(LOST, max(_USUAL * every, _LEAST_LOST), environment=environment)
        if lost < _LEAST * every:
            raise ConfigError(f"{LOST} must be twice {HEARTBEAT}, which is {every:g}, at least, not {lost:g}")
        if lost < _LEAST_LOST:
            raise ConfigError(f"{LOST} must be {_LEAST_LOST:g} at least, not {lost:g}: heartbeats are not seen at once")
        return cls(every, lost)
