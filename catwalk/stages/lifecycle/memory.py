"""Advice for when memory runs out, in place of the allocator's message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catwalk import knobs
from catwalk.errors import OutOfMemoryError
from catwalk.knobs import Config

_WORDS = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of PyTorch's allocators in a RuntimeError: on Linux, on Windows, and on a GPU."""


@contextmanager
def advice(config: Config) -> Iterator[None]:
    """Names the settings that use memory.

    Raises:
        OutOfMemoryError: Memory has run out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, MemoryError) and not any(words in reason for words in _WORDS):
            raise
        lower = knobs.advice(config, "memory")
        remedy = f"lower {lower}, or use a machine with more" if lower else "use a machine with more"
        raise OutOfMemoryError(f"out of memory{_where(config)}: {remedy} ({reason[:200] or 'MemoryError'})") from error


def _where(config: Config) -> str:
    device = config.flat().get("device")
    return f" on device {device}" if device else ""
