"""What a command says beside its result, and files that go to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from catwalk import entry_point
from catwalk.errors import CatwalkError

NAME = "catwalk"
STDOUT = Path("-")
"""Stands for standard output where a file is asked for."""


def complain(message: str) -> None:
    """Says what is wrong, in one line on standard error."""
    entry_point.complain(NAME, message)


def check_stdout(out: Path | None, *others: bool) -> None:
    """
    Raises:
        CatwalkError: a file is to go to standard output, and something else as well.
    """
    if out == STDOUT and any(others):
        raise CatwalkError("--out - gives standard output to the file alone: leave out --json and --open")


def put(body: bytes) -> None:
    """Writes a file's bytes to standard output.

    Raises:
        CatwalkError: a person would get them on a terminal.
    """
    if sys.stdout.isatty():
        raise CatwalkError("standard output is a terminal; send it to a file: catwalk … --out - > FILE")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
