"""The program that the supervisor starts for a part: a script that sets the part's whole environment and becomes the
part.

Nothing comes from the environment in which the supervisor itself was started. So a part that starts later, after a
crash, a change or an upgrade, gets the same environment as at the first start, and no other part has its secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from stack.configuration.credentials import write_private_text
from stack.configuration.environment import own_environment, process_environment
from stack.parts.part import Part
from stack.settings import PROJECT, Settings

_SHELLS_OWN = {"BASHOPTS", "EUID", "PPID", "SHELLOPTS", "UID"}
"""Variables that can't be set in bash, which is sh on some systems."""


def folder(settings: Settings) -> Path:
    """Returns the folder with a script and a section of the supervisor's configuration per part, from the part's last
    start.
    """
    return settings.home / "parts"


def is_current(settings: Settings, part: Part) -> bool:
    """Returns whether a part was last started with the current settings; the caller's own environment does
    not count.
    """
    path = _section_file(settings, part)
    return path.exists() and path.read_text() == _section(settings, part)


def write(settings: Settings, part: Part) -> None:
    """Writes script and section, which only the owner can read."""
    environment = process_environment(settings, part.name)
    lines = [
        f"# How `make up` starts {part.name}.",
        f"umask {umask():03o}",
        *(f"export {name}={shlex.quote(value)}" for name, value in environment.items() if _can_be_set(name)),
        f"exec {shlex.join(_command(part))}",
    ]
    write_private_text(folder(settings) / f"{part.name}.sh", "\n".join(lines) + "\n")
    write_private_text(_section_file(settings, part), _section(settings, part))


def forget(settings: Settings, name: str) -> None:
    """Removes everything by which the supervisor knows a part."""
    for path in folder(settings).glob(f"{name}.*"):
        path.unlink()


def _can_be_set(name: str) -> bool:
    """Returns whether a shell accepts such a line: it exits on an invalid name, or one of its own variables."""
    return name.isascii() and name.isidentifier() and name not in _SHELLS_OWN


def sections(settings: Settings) -> Iterator[str]:
    """Yields the sections of all parts that were started since the supervisor was."""
    for path in sorted(folder(settings).glob("*.conf")):
        yield path.read_text()


def _section_file(settings: Settings, part: Part) -> Path:
    return folder(settings) / f"{part.name}.conf"


def _section(settings: Settings, part: Part) -> str:
    """Returns a part's section. The script ignores the digest, which makes the supervisor notice a change. For paths,
    see :func:`stack.native.supervisor.render`.
    """
    return (
        f"[program:{part.name}]\n"
        f"command=/usr/bin/env -i /bin/sh ../parts/{part.name}.sh {_digest(settings, part)}\n"
        "autostart=false\nautorestart=true\nstartsecs=1\nstartretries=1000\n"
        f"stopwaitsecs={part.stop_seconds}\nstopasgroup=true\nkillasgroup=true\nredirect_stderr=true\n"
        f"stdout_logfile=../logs/{part.name}.log\nstdout_logfile_maxbytes=20MB\nstdout_logfile_backups=3\n"
    )


def _digest(settings: Settings, part: Part) -> str:
    """Returns a digest of everything that a part reads when it starts, including its own files."""
    own = json.dumps([_command(part), own_environment(settings, part.name)], sort_keys=True)
    digest = hashlib.sha256(own.encode(errors="surrogateescape"))
    for path in (file for one in part.reads for file in _files(one)):
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _command(part: Part) -> list[str]:
    """Returns the command: the part, behind a guard if it has one."""
    if not part.guarded:
        return part.command
    asks = "import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=30).read()"
    return [
        "/bin/sh",
        str(PROJECT / "stack" / "guard.sh"),
        shlex.join([sys.executable, "-c", asks, part.guarded]),
        *part.command,
    ]


def _files(path: Path) -> list[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return sorted(file for file in found if file.is_file() and file.suffix != ".pyc")


def umask() -> int:
    """Returns the caller's umask, which can only be read by setting one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
