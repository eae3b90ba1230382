"""The distribution as others install it: built, and put into environments that hold what it asks for, no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from stack.settings import PROJECT

UV = Path(sys.executable).with_name("uv")


def build(folder: Path) -> Path:
    """The wheel, by way of a source distribution, from the files of this checkout that git knows or would take."""
    source = folder / "source"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment in which the wheel is installed."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, wheel: Path, *extras: str) -> Environment:
        """With what the wheel and these extras require, linked from this environment: nothing is downloaded."""
        venv.create(folder, symlinks=True)
        [site_packages] = folder.glob("lib/python*/site-packages")
        for package in _required(next(iter(Distribution.discover(name="catwalk-mlops", path=[str(wheel)]))), extras):
            _link(package, site_packages)
        environment = cls(folder)
        install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--python", environment.program("python")]
        subprocess.run([UV, *install, wheel], check=True)
        return environment

    def add(self, name: str) -> None:
        """Links another package, with what it requires."""
        [site_packages] = self.folder.glob("lib/python*/site-packages")
        package = distribution(name)
        for one in [package, *_required(package, ())]:
            _link(one, site_packages)

    def program(self, name: str) -> Path:
        """One of its commands."""
        return self.folder / "bin" / name

    def variables(self) -> dict[str, str]:
        """Environment of its processes: where the caller's store is, and nothing that leads to this checkout."""
        store = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "CATWALK_"))}
        store.pop("CATWALK_HOME", None)
        return {**store, "PATH": os.defpath, "HOME": str(self.folder), "COLUMNS": "120"}

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a command answers, started in the environment's folder."""
        command = [str(self.program(program)), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables(), capture_output=True, text=True, check=False
        )


def _required(root: Distribution, extras: Collection[str]) -> list[Distribution]:
    """All that a distribution requires, and what that requires in turn."""
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    waiting = [(root, frozenset(extras))]
    while waiting:
        package, chosen = waiting.pop()
        for requirement in map(Requirement, package.requires or ()):
            marker, key = requirement.marker, (requirement.name, frozenset(requirement.extras))
            if key not in found and (not marker or any(marker.evaluate({"extra": one}) for one in ("", *chosen))):
                found[key] = distribution(requirement.name)
                assert requirement.specifier.contains(found[key].version), requirement
                waiting.append((found[key], key[1]))
    return list(found.values())


def _link(package: Distribution, site_packages: Path) -> None:
    for name in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        link = site_packages / name
        if not link.is_symlink():
            link.symlink_to(str(package.locate_file(name)))
