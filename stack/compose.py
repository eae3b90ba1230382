"""`make env`: writes the file `.env`, from which docker-compose.yaml takes secrets and settings.

It works before setup, which containers don't need: with only Python's standard library.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from catwalk.entry_point import entry_point
from catwalk.environment.former_names import under_new_names
from stack.configuration import credentials
from stack.settings import PROJECT, StackError

FILE = PROJECT / "docker-compose.yaml"
EXAMPLE = PROJECT / ".env.example"


def write_environment(path: Path) -> list[str]:
    """Writes ``.env`` from the example with secrets filled in, readable only by its owner; returns what was added.

    Existing values and all lines of an existing file stay unchanged. Variables with a former name are reported.

    Raises:
        StackError: the file can't be read or written.
    """
    try:
        fresh = not path.exists()
        text = EXAMPLE.read_text() if fresh else path.read_text()
        known = _assigned(text)
        under_new_names(known, str(path))
        secrets = credentials.generate()
        added = []
        for name, value in (_assigned(EXAMPLE.read_text()) | secrets).items():
            if name in secrets and known.get(name) == "":
                line = re.compile(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*$", re.MULTILINE)
                text = line.sub(f"{name}={value}", text)
            elif name not in known:
                text = f"{text.rstrip()}\n{name}={value}\n"
            else:
                continue
            added.append(name)
        if added or fresh:
            credentials.write_private_text(path, text)
        else:
            path.chmod(0o600)
        return added
    except OSError as error:
        raise StackError(f"{path} can't be used: {error.strerror}") from error


def _assigned(text: str) -> dict[str, str]:
    """Returns the value of each assignment, by name; empty quotes and a comment alone are empty, as in Compose."""
    found = re.findall(r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return {name: "" if value in ('""', "''") or value.startswith("#") else value for name, value in found}


def make_receivers(home: Path) -> Path:
    """Creates the folder of receivers' files; the engine would create it as root.

    Containers have their own users, so everyone may read the folder. Its parent keeps out other users of this machine:
    an engine mounts the folder without the parent's permissions.
    """
    receivers = home / "receivers"
    receivers.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    make_readable(receivers)
    return receivers


def mounted() -> list[Path]:
    """Returns files and folders of the project that docker-compose.yaml mounts."""
    return [PROJECT / path for path in re.findall(r"[ \[]\./([^:\s]+):/", FILE.read_text())]


def make_readable(path: Path) -> None:
    """Lets every user read a file, or a folder with its content: a umask of 077 would keep containers' users out."""
    for each in (path, *path.rglob("*")):
        mode = each.stat().st_mode
        each.chmod(mode | (0o555 if each.is_dir() else 0o444))


@entry_point("stack")
def main() -> None:
    """Entry point."""
    path = PROJECT / ".env"
    added = write_environment(path)
    make_receivers(PROJECT / ".catwalk")
    for each in mounted():
        make_readable(each)
    where = os.path.relpath(path)
    print(f"{where}: {'generated ' + ', '.join(added) if added else 'complete, nothing changed'}")
    print("next: `docker compose up -d`; the logins are in that file, which only you can read")


if __name__ == "__main__":
    sys.exit(main())
