"""The checkout that contains this library, with the tools that setup built; an installed wheel has none."""

from __future__ import annotations

import shutil
from pathlib import Path

_ABOVE = Path(__file__).resolve().parents[2]
FOLDER = _ABOVE if (_ABOVE / "pyproject.toml").is_file() else None
"""The project's folder; None in a wheel."""


def built_tool(name: str) -> Path | None:
    """A native server or command that `make setup` built; None if it hasn't."""
    found = sorted((FOLDER / ".tools").glob(f"*/{name}")) if FOLDER else []
    return found[-1] if found else None


def find_tool(name: str) -> Path | None:
    """A native command: the one that setup built, whose version is known, otherwise one on the PATH."""
    on_path = shutil.which(name)
    return built_tool(name) or (Path(on_path) if on_path else None)
