"""A part of a native stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FORMER_NAMES = {"registry": "exporter"}
"""The current name of each part that had a different name in the previous release."""


@dataclass(frozen=True)
class Part:
    """One process that the supervisor keeps running."""

    name: str
    command: list[str]
    ports: tuple[str, ...]
    """Names in :data:`catwalk.environment.addresses.PORTS`; `statsd` means UDP and TCP."""
    healthy: Callable[[], bool]
    url: str = ""
    """The address that a person opens."""
    reads: tuple[Path, ...] = ()
    """The files and folders that it reads when it starts, and only then."""
    guarded: str = ""
    """A URL; if it stops answering, the process is restarted."""
    stop_seconds: int = 10
    """Seconds from SIGTERM until it is killed."""

    @property
    def is_airflow(self) -> bool:
        """Whether it needs Airflow's tables."""
        return self.name.startswith("airflow-")
