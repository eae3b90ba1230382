"""Which code computes a run, and on what it stands."""

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


def git_state(trainable: Trainable) -> tuple[str, bool]:
    """Commit of a Trainable's checkout, and whether files differ from it."""
    found = source(trainable)
    return versions.git_state(found if found.is_dir() else found.parent)
