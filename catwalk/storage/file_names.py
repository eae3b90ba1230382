"""Converts keys to paths below a folder, and back.

S3 can contain both ``a`` and ``a/b``, and keys of any characters; a file system can't. So a name in a folder shows what
it is:

- The file of an object has a dot in its name, like ``run.json``. If the key has none, ``%.`` is added.
- A folder has no dot. A dot in that part of the key is written ``%2E``.
- A part of a key that is too long for a name is split over nested folders, whose names end in ``%+``.
- No name begins with a dot: such names are free for other files than objects.

``%`` itself is written ``%25``. Everything else, in any script, is unchanged.
"""

from __future__ import annotations

import re
from pathlib import Path

from catwalk.errors import StoreError

_LONGEST = 200
"""Maximum number of bytes of a part of a key in one name. File systems allow 255."""
_LONGEST_KEY = 1024
"""Maximum number of bytes of a key, as in S3."""
_BARE, _EMPTY, _GOES_ON = "%.", "%", "%+"
_ESCAPED = re.compile(r"%(25|2E|00)")


def path_of(root: Path, key: str) -> Path:
    """The path of an object's file.

    Raises:
        StoreError: No object can have this key.
    """
    _check(key)
    *folders, last = key.split("/")
    *begun, end = _pieces(last)
    return folder_of(root, folders).joinpath(*(f"{_quoted(piece, True)}{_GOES_ON}" for piece in begun), _file_name(end))


def folder_of(root: Path, segments: list[str]) -> Path:
    """The folder of the objects whose keys begin with these segments, each followed by a slash."""
    names: list[str] = []
    for segment in segments:
        *begun, end = _pieces(segment)
        names += [*(f"{_quoted(piece, True)}{_GOES_ON}" for piece in begun), _quoted(end, True) or _EMPTY]
    return root.joinpath(*names)


def object_of(name: str) -> str | None:
    """The last part of the key of the object with this file name; None if it isn't an object's file."""
    segment = _unquoted(name.removesuffix(_BARE))
    return segment if _file_name(segment) == name and _is_text(name) else None


def segment_of(name: str) -> tuple[str, bool] | None:
    """The part of a key that a folder's name stands for, and whether the part continues inside; None if it is none."""
    goes_on = name.endswith(_GOES_ON)
    segment = _unquoted("" if name == _EMPTY else name.removesuffix(_GOES_ON))
    expected = f"{_quoted(segment, True)}{_GOES_ON}" if goes_on else _quoted(segment, True) or _EMPTY
    return (segment, goes_on) if expected == name and _is_text(name) else None


def _check(key: str) -> None:
    if not _is_text(key):
        raise StoreError(f"no object can have the key {key!r}: it is not valid UTF-8 text")
    size = len(key.encode())
    if not 0 < size <= _LONGEST_KEY:
        raise StoreError(f"no object can have a key of {size:,} bytes ({key[:40]!r}): it must have 1 to {_LONGEST_KEY}")


def _is_text(text: str) -> bool:
    """Whether UTF-8 can encode it; a name of other bytes counts as if it could not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pieces(segment: str) -> list[str]:
    """A part of a key, split if it is too long for a name."""
    pieces, size = [""], 0
    for character in segment:
        size += len(_quoted(character, True).encode())
        if size > _LONGEST:
            pieces.append("")
            size = len(_quoted(character, True).encode())
        pieces[-1] += character
    return pieces


def _file_name(segment: str) -> str:
    name = _quoted(segment, False)
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    return name if "." in name else f"{name}{_BARE}"


def _quoted(segment: str, dots: bool) -> str:
    quoted = segment.replace("%", "%25").replace("\0", "%00")
    return quoted.replace(".", "%2E") if dots else quoted


def _unquoted(name: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
