"""A command's messages beside its result, and files on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from catwalk import entry_point
from catwalk.errors import CatwalkError

NAME = "catwalk"
STDOUT = Path("-")
"""Means standard output in place of a file."""


def complain(message: str) -> None:
    """Prints an error, in one line on standard error."""
    entry_point.complain(NAME, message)


def check_stdout(out: Path | None, *others: bool) -> None:
    """
    Raises:
        CatwalkError: A file and something else would both go to standard output.
    """
    if out == STDOUT and any(others):
        raise CatwalkError("--out - writes only the file to standard output: leave out --json and --open")


def put(body: bytes) -> None:
    """Writes a file's bytes to standard output.

    Raises:
        CatwalkError: Standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise CatwalkError("standard output is a terminal; redirect it to a file: catwalk … --out - > FILE")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
