"""What `catwalk.run` costs the program that trains."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import catwalk
from stack.settings import PROJECT
from tests.bench.measure import Measurement

EPOCHS = 2_000
_IMPORT = "import time; start = time.perf_counter(); import catwalk; catwalk.run; print(time.perf_counter() - start)"


def measure(repetitions: int, say: Callable[[str], None]) -> list[Measurement]:
    """Opens, fills and closes runs in a folder."""
    say("runs that log")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CATWALK_STORE"] = (Path(folder) / "ledger").as_uri()
        try:
            empty = [_logged(0) for _ in range(repetitions)]
            full = [_logged(EPOCHS) for _ in range(repetitions)]
        finally:
            del os.environ["CATWALK_STORE"]
    imported = [_import_seconds() for _ in range(repetitions)]
    return [
        Measurement("import catwalk, with run", imported, " s", "≤ 0.3 s"),
        Measurement("open and close a run in a folder", [open_close for open_close, _ in empty], " s", "≤ 0.5 s"),
        Measurement("`epoch()`, of 2,000", [1e6 * each for _, each in full], " µs", "≤ 200 µs"),
        Measurement("open and close with 2,000 epochs", [open_close for open_close, _ in full], " s", "-"),
    ]


def _logged(epochs: int) -> tuple[float, float]:
    """Seconds to open and close, and of one `epoch()`."""
    started = time.perf_counter()
    run = catwalk.run("bench", catwalk.Binary())
    logging = time.perf_counter()
    for number in range(1, epochs + 1):
        run.epoch(number, train={"loss": 1 / number}, validation={"loss": 1 / number, "auc": 0.5})
    logged = time.perf_counter() - logging
    run.close()
    return time.perf_counter() - started - logged, logged / max(1, epochs)


def _import_seconds() -> float:
    done = subprocess.run([sys.executable, "-c", _IMPORT], cwd=PROJECT, capture_output=True, text=True, check=True)
    return float(done.stdout)
