"""On what a program stands: its checkout's commit, and the packages that matter most."""

from __future__ import annotations

import os
import platform
import subprocess

_PACKAGES = ("apache-airflow", "numpy", "torch", "torchvision", "scikit-learn", "xgboost", "lightgbm")


def installed() -> dict[str, str]:
    """Version by name, of Python and of packages as far as they are installed."""
    return {"python": platform.python_version(), **{name: found for name in _PACKAGES if (found := _version(name))}}


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes long to import, for what asks no versions

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def git_state(folder: str | os.PathLike[str]) -> tuple[str, bool]:
    """Commit of the checkout around a folder and whether files differ from it; where there is none, what
    `CATWALK_GIT_COMMIT` says."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", os.fspath(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("CATWALK_GIT_COMMIT", ""), False  # an image holds the files, not the checkout
