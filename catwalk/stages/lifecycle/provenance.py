"""Which code computes a run, and on what it stands."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import catwalk
from catwalk.trainable import Trainable, find

_PACKAGES = ("apache-airflow", "numpy", "torch", "torchvision")
_LIBRARY = Path(catwalk.__file__).parent
_COMPUTING = ("gate", "problems", "stages", "knobs.py", "trainable.py")
"""What of the library has a say in a run's figures and in its decision; a page or a report has none."""


def code_sha256(trainable: Trainable) -> str:
    """Hash of what computes a run: the Python source of its Trainable, the stages, the gate and the problems."""
    return _code_sha256(trainable.reference)


@cache
def _code_sha256(reference: str) -> str:
    digest = hashlib.sha256()
    for root in (source(find(reference)), *(_LIBRARY / name for name in _COMPUTING)):
        for path in _files(root):
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source(trainable: Trainable) -> Path:
    """The folder of the package that holds a Trainable; where it lies in a lone module, that file."""
    module = sys.modules[trainable.reference.partition(":")[0]]
    assert module.__file__  # it was imported from there
    file = Path(module.__file__)
    return file.parent if module.__package__ else file


def _files(root: Path) -> Iterator[Path]:
    yield from sorted(root.rglob("*.py")) if root.is_dir() else (root,)


def versions() -> dict[str, str]:
    """Of Python and of the packages that matter most, as far as they are installed."""
    return {"python": platform.python_version(), **{name: found for name in _PACKAGES if (found := _version(name))}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def git_state(trainable: Trainable) -> tuple[str, bool]:
    """Commit of a Trainable's checkout and whether files differ from it; where there is none, what
    `CATWALK_GIT_COMMIT` says."""

    def git(*arguments: str) -> str:
        found = source(trainable)
        command = ["git", "-C", str(found if found.is_dir() else found.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("CATWALK_GIT_COMMIT", ""), False  # an image holds the files, not the checkout
