"""Grafana's own transformations, run in Node.js by the package that its browser code uses."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.bootstrap import TOOLS, SetupError, find_node

SOURCE = Path(__file__).parent / "transformations"
_INSTALL_SECONDS = 420


class NodeError(Exception):
    """Node.js or the package can't be had here; says why."""


@dataclass(frozen=True)
class Field:
    """A column of a data frame."""

    name: str
    type: str
    values: list[Any]
    min: float | None = None
    """Where its axis begins, if not where its values do."""
    max: float | None = None
    """Where it ends."""


Frame = list[Field]


def install() -> Path:
    """The folder with the package, installed once into ``.tools``; about half a minute.

    Raises:
        NodeError: it can't be installed.
    """
    files = [SOURCE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    folder = TOOLS / "grafana-data"
    stamp = folder / ".installed"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            for path in files:
                shutil.copy(path, folder)
            _npm(folder)
            stamp.write_text(digest)
    return folder


def _npm(folder: Path) -> None:
    try:
        node = find_node()
        command = [str(node.parent / "npm"), "ci", "--no-progress"]
        environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (SetupError, OSError, subprocess.SubprocessError) as error:
        raise NodeError(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise NodeError(f"npm ci ended with {done.returncode}: {lines[0][:200]}")


def transform(panels: Sequence[dict[str, Any]]) -> list[list[Frame]]:
    """Returns each panel's results after its transformations.

    Args:
        panels: each with `transformations` as in the dashboard, and `results`: one a query, `refId` and `series` as
            Prometheus answers an instant query, and `name`, the label that names its series, if it asks for no table.

    Raises:
        NodeError: Node.js or the package can't be had here.
        AssertionError: a transformation failed.
    """
    folder = install()
    script = shutil.copy(SOURCE / "transform.cjs", folder)
    done = subprocess.run(
        [str(find_node()), script],
        input=json.dumps(list(panels)),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    made = json.loads(done.stdout)
    for frames in made:
        assert isinstance(frames, list), frames
    return [[[Field(**field) for field in frame] for frame in frames] for frames in made]
