"""Errors of a file system as one line: its own message, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from catwalk.errors import StoreError, StoreUnavailableError

_FULL = "the disk is full: free some space, and retry"
_RIGHTS = "this user needs read and write access there"
_NO_FOLDER = "correct CATWALK_STORE: it must name a folder"
_NO_LINKS = "put the store on a file system with hard links and locks, such as ext4 or xfs"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "mount it writable, or correct CATWALK_STORE",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.ELOOP: _NO_FOLDER,
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EXDEV: "put the whole store on one file system",
    errno.EOPNOTSUPP: _NO_LINKS,
    errno.ENOSYS: _NO_LINKS,
    errno.ENOLCK: _NO_LINKS,
    errno.EIO: "see the system's log; is the disk broken?",
}


def refused(error: OSError, where: str) -> StoreError:
    """The error for a request that the file system refused.

    Args:
        error: The system's error.
        where: The object or folder, as a URL.
    """
    at = f" at {_readable(error.filename)}" if error.filename else ""
    no_links = (
        error.errno == errno.EPERM and error.filename2
    )  # the system's error for a link if there are no hard links
    advice = _NO_LINKS if no_links else _ADVICE.get(error.errno or 0)
    kind = StoreUnavailableError if advice == _FULL else StoreError
    return kind(f"can't use {where}: {error.strerror or error}{at}{f'; {advice}' if advice else ''}")


def missing(root: Path) -> StoreError:
    """The error for a store without a folder."""
    return StoreError(f"there is no folder {_readable(root)}; correct CATWALK_STORE, or let a run write there first")


def shared(root: Path, kind: str) -> StoreError:
    """The error for a folder that other machines can use too."""
    return StoreError(
        f"{_readable(root)} is on a file system that other machines may write to ({kind}), where locks don't exclude "
        "other writers; choose a folder on a local disk, or S3"
    )


def _readable(path: object) -> str:
    return str(path).encode(errors="backslashreplace").decode().replace("\n", "\\n")
