"""`make env`: the file `.env`, from which docker-compose.yaml takes secrets and choices."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ml.errors import CatwalkError
from stack import credentials, env_file
from stack.settings import PROJECT, StackError

EXAMPLE = PROJECT / ".env.example"


def write_environment(path: Path) -> list[str]:
    """Writes ``.env`` from the example with secrets filled in, readable by its owner only; returns what was added.

    What is set already stays as it is, and so does every line of a file that is there.

    Raises:
        StackError: the file can't be read or written.
        ConfigError: a line of it can't be understood.
    """
    try:
        fresh = not path.exists()
        text = EXAMPLE.read_text() if fresh else path.read_text()
        known = env_file.read(EXAMPLE if fresh else path)
        secrets = credentials.generate()
        added = []
        for name, value in (env_file.read(EXAMPLE) | secrets).items():
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


def main() -> int:
    """Entry point; returns the exit code."""
    path = PROJECT / ".env"
    try:
        added = write_environment(path)
        # Where files that name receivers of alerts are looked for; made here, or the engine would make it, as root.
        receivers = PROJECT / ".catwalk" / "receivers"
        receivers.mkdir(parents=True, exist_ok=True)
    except (StackError, CatwalkError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    where = os.path.relpath(path)
    print(f"{where}: {'generated ' + ', '.join(added) if added else 'complete, nothing was changed'}")
    print("next: `docker compose up -d`; who logs in where is in that file, which only you can read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
