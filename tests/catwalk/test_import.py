"""The library and the `catwalk` command start at once, because they load nothing heavy before they need it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from stack.settings import PROJECT

HEAVY = {"torch", "torchvision", "airflow", "matplotlib", "scipy", "fastapi", "starlette", "flask", "uvicorn"}
IMPORT_SECONDS = 0.3
LOADED = f"print(*sorted({HEAVY!r} & set(sys.modules)))"


def python(code: str) -> str:
    """What a user's own program writes."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=500, check=True
    )
    return done.stdout


def test_importing_the_library_loads_nothing_heavy() -> None:
    assert python(f"import sys, catwalk; {LOADED}").split() == []


def test_importing_the_library_takes_little_time() -> None:
    code = "import time; start = time.process_time(); import catwalk; print(time.process_time() - start)"
    # Returns seconds of processor time, which other programs don't lengthen; the best of five, because they do evict
    # caches.
    assert min(float(python(code)) for _ in range(5)) <= IMPORT_SECONDS


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_commands_without_a_server_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys\nfrom catwalk.cli.main import main\ntry: main({arguments!r})\nexcept SystemExit: {LOADED}"
    assert python(code).splitlines()[-1] == ""


@pytest.mark.parametrize("command", [["-m", "catwalk"], [str(Path(sys.executable).with_name("catwalk"))]])
def test_both_ways_to_call_the_command_say_what_is_installed(command: list[str]) -> None:
    line = [sys.executable, *command, "--version"]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=500, check=True)
    assert done.stdout == f"catwalk {version('catwalk-mlops')}\n"
