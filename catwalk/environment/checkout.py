"""The checkout that this library lies in, with what set-up has made there; an installed wheel lies in none."""

from __future__ import annotations

import shutil
from pathlib import Path

_ABOVE = Path(__file__).resolve().parents[2]
FOLDER = _ABOVE if (_ABOVE / "pyproject.toml").is_file() else None
"""The project's folder; None in a wheel."""


def built_tool(name: str) -> Path | None:
    """A native server or command as `make setup` has built it; None where it has not."""
    found = sorted((FOLDER / ".tools").glob(f"*/{name}")) if FOLDER else []
    return found[-1] if found else None


def find_tool(name: str) -> Path | None:
    """A native command: the one that set-up has built, whose version is known, else one on the PATH."""
    on_path = shutil.which(name)
    return built_tool(name) or (Path(on_path) if on_path else None)
