"""What the ``main`` of every program has in common. Needs nothing but Python's standard library."""

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
"""The exit code that shells give what SIGINT has ended."""
_SPELT = {**dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)), "×": "x", "→": ">", "–": "-", "…": ".", "✓": "+", "✗": "x"}
"""What stands for characters of ours that an encoding lacks."""


def entry_point(name: str) -> Callable[[Callable[P, int | None]], Callable[P, int]]:
    """Makes a function a program's ``main``, which returns the exit code: 0 done, 1 failed, 130 interrupted.

    What a user can mend is one line on standard error; with `CATWALK_DEBUG` set, it is a traceback. argparse and typer
    exit by themselves, on wrong usage with 2. What the function prints can't fail for want of a letter, and all of it
    is written at the end; where its reader has gone, as ``head`` goes, the program ends without a word.

    Args:
        name: what the line begins with.
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
    """Says what is wrong, in one line on standard error."""
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)


def unwritable(error: OSError) -> str:
    """Why standard output can't be written to; empty where an error is about something else."""
    ours = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return f"standard output can't be written to: {error.strerror}" if ours else ""


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
    # Python has None for what the caller has closed, and prints to standard output what was meant for that.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="catwalk")


def _flush(name: str, said_why: bool) -> None:
    """
    Raises:
        SystemExit: standard output can't be written to.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Or the interpreter tries once more, and complains.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not (said_why or isinstance(error, BrokenPipeError)):
            complain(name, unwritable(error))
        raise SystemExit(1) from None
