"""What `catwalk.run` costs the training program."""

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
PEERS = {"mlflow": "3.17.2", "dvclive": "3.49.1"}
"""Package → version of the peers."""
UV = Path(sys.executable).with_name("uv")
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
        *_ours(imported, empty, full),
        *_beside_peers(repetitions, say),
    ]


def _ours(
    imported: list[float], empty: list[tuple[float, float]], full: list[tuple[float, float]]
) -> list[Measurement]:
    return [
        Measurement("import catwalk, with run", imported, " s", "≤ 0.3 s"),
        Measurement("open and close a run in a folder", [open_close for open_close, _ in empty], " s", "≤ 0.5 s"),
        Measurement("`epoch()`, of 2,000", [1e6 * each for _, each in full], " µs", "≤ 200 µs"),
        Measurement("open and close with 2,000 epochs", [open_close for open_close, _ in full], " s", "-"),
    ]


def _beside_peers(repetitions: int, say: Callable[[str], None]) -> list[Measurement]:
    """Measures the same with peers, each time beside Catwalk. Returns nothing if they can't be installed."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"runs that log with {' and '.join(PEERS)}")
        python = Path(folder) / "peers" / "bin" / "python"
        packages = [f"{name}=={version}" for name, version in PEERS.items()]
        for command in (["venv", str(python.parents[1])], ["pip", "install", "--python", str(python), *packages]):
            done = subprocess.run([UV, *command], capture_output=True, text=True)
            if done.returncode:
                say(f"skipped, since they can't be installed: {done.stderr.strip().splitlines()[-1]}")
                return []
        programs = {"catwalk": Path(sys.executable), **dict.fromkeys(PEERS, python)}
        found = [{name: _seconds(name, program) for name, program in programs.items()} for _ in range(repetitions)]
    return [_ratio(name, what, [each[name][part] / each["catwalk"][part] for each in found])
            for part, what in enumerate(("open and close a run", "log an epoch of four figures"))
            for name in PEERS]  # fmt: skip


def _ratio(name: str, what: str, values: list[float]) -> Measurement:
    return Measurement(f"{name} {PEERS[name]} ÷ Catwalk: {what}", values, "×", "-")


def _seconds(library: str, python: Path) -> tuple[float, float]:
    """Measures opening and closing a run, and one epoch's figures."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT) if library == "catwalk" else ""}
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), str(Path(__file__).with_name("peers.py")), library]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    open_close, epoch = map(float, done.stdout.split()[-2:])
    return open_close, epoch


def _logged(epochs: int) -> tuple[float, float]:
    """Returns the seconds to open and close, and of one `epoch()`."""
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
