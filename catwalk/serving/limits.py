"""Limits of one server, and how it refuses requests."""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.errors import ConfigError

BODIES_AT_ONCE = 8
"""How many bodies of the largest size may be in memory together."""
CONNECTIONS = 1_000
"""Open connections; further ones get 503."""
HEAD_BYTES = 65_536
"""Limit of a request's line and headers together."""
MOST_PIXELS = 2**24
"""Limit of a picture: a small file can decompress to far more."""


@dataclass(frozen=True)
class Limits:
    """Limits of one server."""

    body_bytes: int = 8 * 2**20
    """Largest body of a request."""
    batch: int = 1_000
    """Most examples, or labels, in a request."""
    seconds: float = 10.0
    """Time for a request's headers, for its body, and from there to its answer."""
    requests: int = 64
    """Most requests of a page that are being answered, or wait for that."""
    poll_seconds: float = 10.0
    """Time between two looks for a new champion."""
    notice_seconds: float = 2.0
    """Time after SIGTERM in which it still accepts requests, while ``/readyz`` returns 503."""
    drain_seconds: float = 30.0
    """Longest time from SIGTERM until it ends, even if requests are in progress."""

    def __post_init__(self) -> None:
        for name in ("body_bytes", "batch", "seconds", "requests", "poll_seconds", "drain_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name.replace('_', ' ')} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.notice_seconds < self.drain_seconds:
            raise ConfigError(
                f"{self.notice_seconds:g} s of notice must be less than the {self.drain_seconds:g} s to drain in"
            )


UNHURRIED = Limits(body_bytes=2**30, seconds=3_600, notice_seconds=0)
"""Limits of a server that only the gate asks; the gate has its own caps."""


class RefusedError(Exception):
    """A refused request: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
