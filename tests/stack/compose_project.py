"""docker-compose.yaml as the official parser of compose files reads it, with an `.env` made as `make env` makes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catwalk.environment.former_names import RENAMED
from stack.compose import write_environment
from stack.settings import PROJECT
from tests.support.tools import tool

FILE = PROJECT / "docker-compose.yaml"
PROFILES = ("s3", "monitoring", "grafana")
"""Parts that may be left out; `cli` holds the catwalk command, which is not a part, and `serve` a part that is off
by default.
"""
ONCE = {"configure", "airflow-init", "catwalk"}
"""Services that end."""
VARIABLES = (set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", FILE.read_text())) | {"COMPOSE_PROFILES"}) - RENAMED.keys()
"""Variables that it reads, under their current names."""


class RefusedError(Exception):
    """The parser's complaint."""


def load(folder: Path, profiles: Iterable[str] = (*PROFILES, "cli", "serve"), **changes: str | None) -> dict[str, Any]:
    """Returns the project as a JSON document. Paths of the repository are below `folder`.

    Args:
        folder: An empty folder, or one used for the same purpose before.
        profiles: The active profiles.
        changes: Variables that differ from what `make env` sets; None unsets one.

    Raises:
        RefusedError: The parser refuses the file.
    """
    (folder / "stack").mkdir(parents=True, exist_ok=True)
    shutil.copy(FILE, folder)
    shutil.copy(PROJECT / "stack" / "catwalk.env", folder / "stack")
    write_environment(folder / ".env")
    lines = [line for line in (folder / ".env").read_text().splitlines() if line.partition("=")[0] not in changes]
    lines += [f"{name}={value}" for name, value in changes.items() if value is not None]
    (folder / ".env").write_text("\n".join(lines) + "\n")
    environment = {"PATH": os.defpath, "COMPOSE_PROFILES": ",".join(profiles)}
    done = subprocess.run(
        [tool("compose-go")], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    project: dict[str, Any] = json.loads(done.stdout)
    return project


def in_repository(path: str, folder: Path) -> Path:
    """Returns where in the repository a path that was resolved below `folder` lies."""
    return PROJECT / Path(path).relative_to(folder)
