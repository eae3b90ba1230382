"""What this process uses of its cards, as torch says. Nothing is imported here that whoever trains has not imported.

NVML alone would not do: it names processes by the ids that the host gives them, which a container does not know.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

SAMPLE_SECONDS = 1.0
"""Between two looks. The driver averages over a sixth of a second to a second itself."""

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")
"""One of these is there where NVIDIA's driver is: on Linux, and on Linux within Windows."""


@dataclass(frozen=True)
class GpuUse:
    """Of all cards that this process uses. None: it uses none, or that is not known."""

    peak_memory_bytes: int | None = None
    """The most that torch has held at once since the process began, summed over the cards."""
    utilisation_ratio: float | None = None
    """Share of the time in which they were computing, for this process or another one; 0 to 1."""


class GpuWatch:
    """Looks at the cards now and then, from its making to its :meth:`stop`; without a driver of NVIDIA's, or without
    nvidia-ml-py, only then."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._stopped = threading.Event()
        if find_spec("pynvml") and any(map(os.path.exists, _DRIVERS)):
            threading.Thread(target=self._work, name="catwalk gpu", daemon=True).start()

    def stop(self) -> GpuUse:
        """What was used, up to now."""
        self._stopped.set()
        self._sample()
        memory = sum(_peaks().values())
        return GpuUse(memory or None, _mean(self._samples))

    def _work(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        with suppress(Exception):  # no nvidia-ml-py, no right to ask, another vendor's card
            self._samples += [_torch_cuda().utilization(card) / 100 for card in _peaks()]


def _peaks() -> dict[int, int]:
    """Card → the most bytes that were held on it, of cards that this process has used."""
    with suppress(Exception):  # torch is only just being imported
        cuda = _torch_cuda()
        if cuda.is_initialized():
            peaks = {card: int(cuda.max_memory_reserved(card)) for card in range(cuda.device_count())}
            return {card: peak for card, peak in peaks.items() if peak}
    return {}


def _mean(samples: list[float]) -> float | None:
    return sum(samples) / len(samples) if samples else None


def _torch_cuda() -> Any:
    return sys.modules["torch"].cuda
