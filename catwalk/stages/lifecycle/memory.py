"""What to do when memory runs out, in place of what the allocator says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catwalk import knobs
from catwalk.errors import OutOfMemoryError
from catwalk.knobs import Config

_WORDS = ("can't allocate memory", "not enough memory", "out of memory")
"""How PyTorch's allocators put it in a RuntimeError: on Linux, on Windows, and on a GPU."""


@contextmanager
def advice(config: Config) -> Iterator[None]:
    """Names the settings that take memory.

    Raises:
        OutOfMemoryError: memory has run out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, MemoryError) and not any(words in reason for words in _WORDS):
            raise
        lower = knobs.advice(config, "memory")
        remedy = f"lower {lower}, or run where there is more" if lower else "run where there is more"
        raise OutOfMemoryError(
            f"memory has run out{_where(config)}: {remedy} ({reason[:200] or 'MemoryError'})"
        ) from error


def _where(config: Config) -> str:
    device = config.flat().get("device")
    return f" on device {device}" if device else ""
