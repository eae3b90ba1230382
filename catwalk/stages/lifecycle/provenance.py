"""The code that computes a run, and what it depends on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from catwalk.environment import versions
from catwalk.trainable import Trainable, find

_LIBRARY = Path(__file__).parents[2]
_COMPUTING = ("gate", "problems", "stages", "knobs.py", "trainable.py")
"""The parts of the library that affect a run's figures and decision, unlike pages and reports."""


def code_sha256(trainable: Trainable) -> str:
    """Hash of the code that computes a run: the Python source of Trainable, stages, gate and problems."""
    return _code_sha256(trainable.reference)


@cache
def _code_sha256(reference: str) -> str:
    digest = hashlib.sha256()
    for root in (source(find(reference)), *(_LIBRARY / name for name in _COMPUTING)):
        for path in _files(root):
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source(trainable: Trainable) -> Path:
    """The folder of the package with a Trainable, or its file if it is in a top-level module."""
    module = sys.modules[trainable.reference.partition(":")[0]]
    assert module.__file__  # it was imported from there
    file = Path(module.__file__)
    return file.parent if module.__package__ else file


def _files(root: Path) -> Iterator[Path]:
    yield from sorted(root.rglob("*.py")) if root.is_dir() else (root,)


def git_state(trainable: Trainable) -> tuple[str, bool]:
    """The commit of a Trainable's checkout, and whether files differ from it."""
    found = source(trainable)
    return versions.git_state(found if found.is_dir() else found.parent)
