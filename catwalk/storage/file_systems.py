"""Whether a folder is on a local file system: locks don't work across machines."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_SHARED = {
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
}  # fmt: skip
_LOCAL_FUSE = {"fuse.bindfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.mergerfs"}
"""Local FUSE file systems; others are mostly those of a network (sshfs, s3fs, rclone, gcsfuse) or a host."""


def shared_kind(folder: Path) -> str:
    """The kind of a file system that other machines may write to; empty for a local one.

    If the system doesn't list its mounts (it isn't Linux), nothing counts as shared.
    """
    try:
        mounts = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""
    kind = _kind(folder.resolve(), mounts)
    fuse = kind == "fuse" or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)
    return kind if kind in _SHARED or fuse else ""


def _kind(folder: Path, mounts: str) -> str:
    """The kind of the nearest mount above a folder; the later of two at the same place hides the earlier."""
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_unescaped(before.split(" ")[4]))
        if folder.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
