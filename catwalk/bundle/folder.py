"""Lays a bundle down in a folder: all of it or nothing, and nobody's file is lost."""

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
"""Names the files that are ours."""


def write(folder: Path, contents: Mapping[str, str]) -> int:
    """Writes a bundle in place of what a former one wrote there; returns how many files that one had and this has not.

    Everything is written beside first, so that a full disk changes nothing.

    Args:
        folder: is made where there is none.
        contents: path in it → text.

    Raises:
        CatwalkError: the folder is somebody else's, or can't be written to.
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
        raise CatwalkError(f"--out {folder} can't be written to: {error.strerror}") from error
    return len(gone)


def _former(folder: Path) -> set[str]:
    """The files that a former bundle wrote.

    Raises:
        CatwalkError: there is something else.
    """
    if folder.exists() and not folder.is_dir():
        raise CatwalkError(f"--out {folder} is a file; name a folder")
    try:
        known = json.loads((folder / _LIST).read_text())["files"]
    except (FileNotFoundError, NotADirectoryError):
        if folder.exists() and any(folder.iterdir()):
            raise CatwalkError(
                f"--out {folder} holds something else than a bundle; name a new or an empty folder"
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
        with suppress(OSError):  # others' files are in it
            (folder / name).parent.rmdir()


def _listed(names: set[str]) -> bytes:
    return (json.dumps({"files": sorted(names)}, indent=1) + "\n").encode()
