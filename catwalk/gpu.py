"""The use of the GPUs by this process, as torch reports it. It imports nothing that the training hasn't imported.

NVML alone isn't enough: it identifies processes by the host's process ids, which a container doesn't know.
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
"""Seconds between two samples. The driver itself averages over a sixth of a second to a second."""

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")
"""One of these exists if NVIDIA's driver is installed: on Linux, and on Linux in Windows."""


@dataclass(frozen=True)
class GpuUse:
    """The use of all GPUs of this process; None if it uses none, or the value is unknown."""

    peak_memory_bytes: int | None = None
    """The most bytes that torch held at once since the process started, summed over the GPUs."""
    utilisation_ratio: float | None = None
    """Share of the time in which the GPUs were computing, for this or another process; 0 to 1."""


class GpuWatch:
    """Samples the GPUs from its creation to :meth:`stop`; without NVIDIA's driver or nvidia-ml-py, only at
    :meth:`stop`.
    """

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._stopped = threading.Event()
        if find_spec("pynvml") and any(map(os.path.exists, _DRIVERS)):
            threading.Thread(target=self._work, name="catwalk gpu", daemon=True).start()

    def stop(self) -> GpuUse:
        """Stops sampling; returns the use so far."""
        self._stopped.set()
        self._sample()
        memory = sum(_peaks().values())
        return GpuUse(memory or None, _mean(self._samples))

    def _work(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        with suppress(Exception):  # no nvidia-ml-py, no permission, another vendor's GPU
            self._samples += [_torch_cuda().utilization(card) / 100 for card in _peaks()]


def _peaks() -> dict[int, int]:
    """GPU → the most bytes held on it, for the GPUs that this process has used."""
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
