"""OpenMP's threads soon sleep while they wait, however torch is loaded; the user can set it otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest

from stack.settings import PROJECT

WAYS = {
    "the catwalk command": ["-c", "from catwalk.cli import main as cli; import ml.fashion_mnist.training"],
    "a task": ["-c", "import runpy; runpy.run_path('dags/fashion_training.py'); import ml.fashion_mnist.training"],
    "a module": ["-m", "tests.bench", "--help"],
    "the tests": [
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "tests/ml/fashion_mnist/test_training.py",
        "--collect-only",
    ],
}


def shown(arguments: list[str], **environment: str) -> str:
    """Returns what GNU's OpenMP reports about its settings when torch loads it, such as how often threads poll before
    they sleep.

    Torch loads it first, so the process ends once the report is complete, before it has imported the rest.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={
            **clean,
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'dags'}",
            "OMP_DISPLAY_ENV": "verbose",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        lines = list(through(process.stdout, "OPENMP DISPLAY ENVIRONMENT END"))
        process.kill()
    return "".join(lines)


def through(lines: Iterable[str], last: str) -> Iterator[str]:
    """Yields all lines up to the first one that contains this."""
    for line in lines:
        yield line
        if last in line:
            return


@pytest.mark.parametrize("way", WAYS)
def test_waiting_threads_leave_the_cores_to_others(way: str) -> None:
    text = shown(WAYS[way])
    assert "GOMP_SPINCOUNT = '1000'" in text, text[-2000:]


def test_the_users_setting_stays() -> None:
    command = WAYS["the catwalk command"]
    assert "GOMP_SPINCOUNT = '1000'" not in shown(command, OMP_WAIT_POLICY="active")
    assert "GOMP_SPINCOUNT = '0'" in shown(command, OMP_WAIT_POLICY="passive")
    assert "GOMP_SPINCOUNT = '20'" in shown(command, GOMP_SPINCOUNT="20")
