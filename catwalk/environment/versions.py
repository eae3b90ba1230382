"""The versions that a program depends on: its checkout's commit, and its most important packages."""

from __future__ import annotations

import os
import platform
import subprocess

_PACKAGES = ("apache-airflow", "numpy", "torch", "torchvision", "scikit-learn", "xgboost", "lightgbm")


def installed() -> dict[str, str]:
    """Name → version, of Python and of installed packages."""
    return {"python": platform.python_version(), **{name: found for name in _PACKAGES if (found := _version(name))}}


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and not always needed

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def git_state(folder: str | os.PathLike[str]) -> tuple[str, bool]:
    """The commit of the checkout around a folder, and whether files differ from it; without a checkout,
    `CATWALK_GIT_COMMIT`.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", os.fspath(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("CATWALK_GIT_COMMIT", ""), False  # an image contains the files, not the checkout
