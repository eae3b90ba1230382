"""Standard output and error that take any text, whatever the terminal's encoding, and end quietly with their reader."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catwalk.errors import CatwalkError

STDOUT = Path("-")
"""Stands for standard output where a file is asked for."""
_SPELT = {**dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)), "×": "x", "→": ">", "–": "-", "…": ".", "✓": "+", "✗": "x"}
"""What stands for characters of ours that an encoding lacks."""


def _spelt(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_SPELT.get(character, "?") for character in lacking), error.end


codecs.register_error("catwalk", _spelt)


@contextmanager
def streams() -> Iterator[None]:
    """Around a command: nothing that it prints can fail for want of a letter, and all of it is written at its end.

    Raises:
        SystemExit: standard output can't be written to. Where its reader has gone, as ``head`` goes, without a word.
    """
    # Python has None for what the caller has closed, and prints to standard output what was meant for that.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="catwalk")
    said_why = False
    try:
        yield
    except SystemExit as stop:
        said_why = bool(stop.code)
        raise
    finally:
        _flush(said_why)


def _flush(said_why: bool) -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        # Or the interpreter tries once more, and complains.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not (said_why or isinstance(error, BrokenPipeError)):
            print(f"catwalk: {full(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def complain(message: str) -> int:
    """Says what is wrong, in one line on stderr; the exit code that goes with it."""
    print(f"catwalk: {' '.join(message.split())}", file=sys.stderr)
    return 1


def full(error: OSError) -> str:
    """Why standard output can't be written to; empty where an error is about something else."""
    ours = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return f"standard output can't be written to: {error.strerror}" if ours else ""


def put(body: bytes) -> None:
    """Writes a file's bytes to standard output.

    Raises:
        CatwalkError: a person would get them on a terminal.
    """
    if sys.stdout.isatty():
        raise CatwalkError("standard output is a terminal; send it to a file: catwalk … --out - > FILE")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
