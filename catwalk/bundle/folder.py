"""Writes a bundle into a folder: all of it or nothing, and no other file is lost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from catwalk.errors import CatwalkError
from catwalk.files import write_whole

_LIST = ".catwalk-bundle.json"
"""The list of the files that belong to the bundle."""


def write(folder: Path, contents: Mapping[str, str]) -> int:
    """Writes a bundle in place of an earlier one; returns how many files only the earlier one had.

    Everything is first written into a temporary folder, so that a full disk changes nothing.

    Args:
        folder: The folder, which is created if it does not exist.
        contents: The text of each file, by its path in the folder.

    Raises:
        CatwalkError: the folder contains other files, or can't be written to.
    """
    former = _former(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".catwalk-bundle-") as beside:
            _lay(Path(beside), contents)
            write_whole(folder / _LIST, _listed(former | contents.keys()))
            _move(Path(beside), folder, contents)
        gone = former - contents.keys()
        _remove(folder, gone)
        write_whole(folder / _LIST, _listed(set(contents)))
    except OSError as error:
        raise CatwalkError(f"can't write to --out {folder}: {error.strerror}") from error
    return len(gone)


def _former(folder: Path) -> set[str]:
    """Returns the files that an earlier bundle wrote.

    Raises:
        CatwalkError: it contains something else.
    """
    if folder.exists() and not folder.is_dir():
        raise CatwalkError(f"--out {folder} is a file; name a folder")
    try:
        known = json.loads((folder / _LIST).read_text())["files"]
    except (FileNotFoundError, NotADirectoryError):
        if folder.exists() and any(folder.iterdir()):
            raise CatwalkError(
                f"--out {folder} contains something other than a bundle; name a new or an empty folder"
            ) from None
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CatwalkError(f"{folder / _LIST} can't be read ({error}); name another folder with --out") from error
    return {name for name in known if not Path(name).is_absolute() and ".." not in Path(name).parts}


def _lay(folder: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _move(beside: Path, folder: Path, contents: Mapping[str, str]) -> None:
    for name in contents:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(beside / name, folder / name)


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # it contains other files
            (folder / name).parent.rmdir()


def _listed(names: set[str]) -> bytes:
    return (json.dumps({"files": sorted(names)}, indent=1) + "\n").encode()
