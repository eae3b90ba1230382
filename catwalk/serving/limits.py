"""What one server takes on, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.errors import ConfigError

BODIES_AT_ONCE = 8
"""Bodies of the largest size that may be in memory together."""
CONNECTIONS = 1_000
"""Open at once; further ones get 503."""
HEAD_BYTES = 65_536
"""Of a request's line and headers together."""
MOST_PIXELS = 2**24
"""Of a picture: a small file may unfold to far more."""


@dataclass(frozen=True)
class Limits:
    """Of one server."""

    body_bytes: int = 8 * 2**20
    """Of a request."""
    batch: int = 1_000
    """Examples, or labels, in one request."""
    seconds: float = 10.0
    """For a request's headers, for its body, and from there to its answer."""
    requests: int = 64
    """That are answered, or wait for that, at once."""
    poll_seconds: float = 10.0
    """Between two looks at who is the champion."""
    notice_seconds: float = 2.0
    """From SIGTERM until it accepts no more, in which ``/readyz`` says so."""
    drain_seconds: float = 30.0
    """From SIGTERM until it has ended, whatever is still under way."""

    def __post_init__(self) -> None:
        for name in ("body_bytes", "batch", "seconds", "requests", "poll_seconds", "drain_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name.replace('_', ' ')} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.notice_seconds < self.drain_seconds:
            raise ConfigError(
                f"{self.notice_seconds:g} s of notice must be less than the {self.drain_seconds:g} s to drain in"
            )


UNHURRIED = Limits(body_bytes=2**30, seconds=3_600, notice_seconds=0)
"""Of a server that only the gate asks, which has caps of its own."""


class RefusedError(Exception):
    """A request that is not answered: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
