"""How much one epoch slows down beside programs that keep every core busy, and what being prepared for them costs.

A thread that waits for another one spins or sleeps, depending on the environment when torch is loaded. Each reading
therefore has its own process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catwalk.environment.cpus import usable_cpus
from stack.settings import PROJECT
from tests.bench.measure import Measurement

EXAMPLES = 20_000
SETTINGS = {
    "as shipped": {},
    "`OMP_WAIT_POLICY=PASSIVE`": {"OMP_WAIT_POLICY": "PASSIVE"},
    "`GOMP_SPINCOUNT=300`": {"GOMP_SPINCOUNT": "300"},
    "`GOMP_SPINCOUNT=500`": {"GOMP_SPINCOUNT": "500"},
    "`GOMP_SPINCOUNT=700`": {"GOMP_SPINCOUNT": "700"},
    "`GOMP_SPINCOUNT=10000`": {"GOMP_SPINCOUNT": "10000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "`OMP_WAIT_POLICY=ACTIVE`": {"OMP_WAIT_POLICY": "ACTIVE"},
}
"""Name → environment. The first is what `catwalk` sets, and the last one spins."""
_SHIPPED, *_OTHERS, _SPINNING = SETTINGS
_PROMISES = {_SHIPPED: ("at most 2.5", "at most 1.1")}
_PROGRAM = "import os; from tests.bench.crowded import epoch; print(epoch(int(os.environ['OMP_NUM_THREADS'])))"


def epoch(threads: int) -> float:
    """Returns the median seconds of three epochs on :data:`EXAMPLES` examples of noise, after one that warms up."""
    import torch

    from ml.fashion_mnist.config import RunConfig
    from ml.fashion_mnist.dataset import Split
    from ml.fashion_mnist.training import Trainer

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (EXAMPLES, 28, 28), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.randint(0, 10, (EXAMPLES,), generator=generator, dtype=torch.uint8))
    config = RunConfig.from_flat({"epochs": 4, "threads": threads})
    trainer = Trainer.start(config, 0, split, split, {"pixel_mean": 0.5, "pixel_stddev": 0.3})
    return statistics.median([record.duration_seconds or 0.0 for record in trainer.epochs(0, lambda: None)][1:])


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Processes that each want a core."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def measure(rounds: int, others: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures each setting alone and beside as many busy programs as there are cores, in turns.

    Args:
        rounds: readings of what is shipped, and of what it is compared with.
        others: readings of the other settings, and of what spins beside busy programs, which takes longest.
        say: shows progress.
    """
    alone: dict[str, list[float]] = {name: [] for name in SETTINGS}
    crowded: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for number in range(1, rounds + 1):
        for name, setting in SETTINGS.items():
            if number > others and name in _OTHERS:
                continue
            say(f"crowded: round {number} of {rounds}, {name}")
            alone[name].append(_seconds(setting))
            if number <= others or name == _SHIPPED:
                with busy_programs(usable_cpus()):
                    crowded[name].append(_seconds(setting))
    return [row for name in SETTINGS for row in _rows(name, alone, crowded)]


def _seconds(setting: dict[str, str]) -> float:
    """Measures an epoch in its own process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment = {**clean, "OMP_NUM_THREADS": str(usable_cpus()), **setting}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _rows(name: str, alone: dict[str, list[float]], crowded: dict[str, list[float]]) -> list[Measurement]:
    slower, cost = _PROMISES.get(name, ("-", "-"))
    beside = _ratios(crowded[name], alone[name])
    rows = [Measurement(f"epoch beside busy programs ÷ alone: {name}", beside, "×", slower)]
    if name != _SPINNING:
        idle = _ratios(alone[name], alone[_SPINNING])
        rows.append(Measurement(f"epoch alone ÷ the same with {_SPINNING}: {name}", idle, "×", cost))
    return rows


def _ratios(some: list[float], others: list[float]) -> list[float]:
    """Divides the readings of the same rounds."""
    return [one / other for one, other in zip(some, others, strict=False)]
