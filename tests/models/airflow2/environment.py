"""An Airflow 2 with packages of its time, in a separate environment beside the pinned tools."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.settings import PROJECT
from tests.support.wheels import UV

LOCK = Path(__file__).with_name("requirements.txt")
VERSION = re.findall(r"^apache-airflow==(\S+)", LOCK.read_text(), re.MULTILINE)[0]
FOLDER = PROJECT / ".tools" / f"airflow-{VERSION}"
_NEWEST_PYTHON = (3, 12)
_STAMP = FOLDER / ".installed"


@contextmanager
def installed(wheel: Path) -> Iterator[Path]:
    """Yields the environment with this wheel, for one process at a time. Skips the test if it isn't available."""
    if sys.version_info[:2] > _NEWEST_PYTHON:
        _not_tested(f"which knows no Python {sys.version_info.major}.{sys.version_info.minor}")
    FOLDER.parent.mkdir(exist_ok=True)
    with FOLDER.with_name(f"{FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _STAMP.exists() or _STAMP.read_text() != _wanted():
            _install()
        for arguments in (["install", "--offline", "--no-deps", "--reinstall", str(wheel)], ["check"]):
            done = _uv("pip", *arguments, "--python", str(FOLDER))
            assert done.returncode == 0, done.stderr
        yield FOLDER


def _wanted() -> str:
    return f"{sys.version}\n{LOCK.read_text()}"


def _install() -> None:
    create = ("venv", "--clear", "--python", sys.executable, str(FOLDER))
    install = ("pip", "install", "--compile-bytecode", "--python", str(FOLDER), "--requirement", str(LOCK))
    for arguments in (create, install):
        done = _uv(*arguments)
        if done.returncode:
            _not_tested(f"which can't be installed: {' '.join(done.stderr.split())[:500]}")
    _STAMP.write_text(_wanted())


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, "--quiet", *arguments], capture_output=True, text=True, check=False)


def _not_tested(why: str) -> None:
    pytest.skip(f"NOT TESTED: a model in Airflow {VERSION}, {why}")
