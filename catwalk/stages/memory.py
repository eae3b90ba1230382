"""What to do when memory runs out, in place of what the allocator says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catwalk.errors import OutOfMemoryError
from ml.fashion_mnist.config import RunConfig

_WORDS = ("can't allocate memory", "not enough memory", "out of memory")
"""How PyTorch's allocators put it in a RuntimeError: on Linux, on Windows, and on a GPU."""


@contextmanager
def advice(config: RunConfig) -> Iterator[None]:
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
        hidden = ",".join(map(str, config.network.hidden))
        raise OutOfMemoryError(
            f"memory has run out on device {config.training.device}: lower hidden (now {hidden}), batch_size (now "
            f"{config.training.batch_size:,}) or train_examples (now {config.data.train_examples:,}), or run where "
            f"there is more ({reason[:200] or 'MemoryError'})"
        ) from error
