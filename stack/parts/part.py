"""What a part of a native stack is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FORMER_NAMES = {"registry": "exporter"}
"""What a part was called in the release before → what it is called now."""


@dataclass(frozen=True)
class Part:
    """One process that the supervisor keeps running."""

    name: str
    command: list[str]
    ports: tuple[str, ...]
    """Names in :data:`catwalk.environment.addresses.PORTS`; `statsd` means UDP and TCP."""
    healthy: Callable[[], bool]
    url: str = ""
    """What a person opens."""
    reads: tuple[Path, ...] = ()
    """Files and folders that it takes up when it starts, and only then."""
    guarded: str = ""
    """A URL; when it stops answering, the process is ended and started again."""
    stop_seconds: int = 10
    """From SIGTERM until it is killed."""

    @property
    def is_airflow(self) -> bool:
        """Whether it needs Airflow's tables."""
        return self.name.startswith("airflow-")
