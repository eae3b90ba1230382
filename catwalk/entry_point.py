"""The parts that the ``main`` of every program shares. It needs only Python's standard library."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec

from catwalk.errors import CatwalkError

P = ParamSpec("P")
INTERRUPTED = 130
"""The exit code that shells report for a program ended by SIGINT."""
_SPELT = {**dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)), "×": "x", "→": ">", "–": "-", "…": ".", "✓": "+", "✗": "x"}
"""Replacements for our characters that an encoding lacks."""


def entry_point(name: str) -> Callable[[Callable[P, int | None]], Callable[P, int]]:
    """Makes a function a program's ``main``, which returns the exit code: 0 success, 1 failure, 130 interrupted.

    An error that a user can fix is one line on standard error; with `CATWALK_DEBUG` set, it is a traceback. argparse
    and typer exit by themselves, with 2 on wrong usage. Printing can't fail because an encoding lacks a character, and
    all output is flushed at the end. If the reader of a pipe has gone, as ``head`` does, the program ends silently.

    Args:
        name: The program's name, which begins the line.
    """

    def decorate(function: Callable[P, int | None]) -> Callable[P, int]:
        @wraps(function)
        def main(*arguments: P.args, **options: P.kwargs) -> int:
            _take_any_text()
            code: object = 0
            try:
                code = _exit_code(name, partial(function, *arguments, **options))
            except SystemExit as stop:
                code = stop.code
                raise
            finally:
                _flush(name, said_why=bool(code))
            return code

        return main

    return decorate


def complain(name: str, message: str) -> None:
    """Prints an error, in one line on standard error."""
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)


def unwritable(error: OSError) -> str:
    """Why standard output isn't writable; empty if the error is about something else."""
    ours = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return f"can't write to standard output: {error.strerror}" if ours else ""


def _exit_code(name: str, function: Callable[[], int | None]) -> int:
    try:
        return function() or 0
    except KeyboardInterrupt as stop:
        complain(name, str(stop) or "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except (CatwalkError, OSError) as error:
        if os.environ.get("CATWALK_DEBUG"):
            raise
        complain(name, (isinstance(error, OSError) and unwritable(error)) or str(error))
        return 1


def _spelt(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_SPELT.get(character, "?") for character in lacking), error.end


codecs.register_error("catwalk", _spelt)


def _take_any_text() -> None:
    # Python sets a stream that the caller has closed to None, and then prints its text to standard output.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="catwalk")


def _flush(name: str, said_why: bool) -> None:
    """
    Raises:
        SystemExit: Standard output isn't writable.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter tries again, and prints an error.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not (said_why or isinstance(error, BrokenPipeError)):
            complain(name, unwritable(error))
        raise SystemExit(1) from None
