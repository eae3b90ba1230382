"""What a command prints, on any terminal and into any file."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from stack.settings import PROJECT

INTERRUPTS = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); signal.raise_signal(signal.SIGINT)"
)
"""What a terminal does to its foreground processes; a shell lets its background processes ignore the signal."""
PRINTS = "print('▁█× ü → ✓', '\\udcff')"


def run(code: str, stdout: int, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a statement as a command's body, with a shell command line around it."""
    program = "from catwalk.entry_point import entry_point\n@entry_point('catwalk')\n"
    program += f"def main():\n    {code}\nraise SystemExit(main())"
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-c", program]
    known = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=PROJECT, env=known, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "▁█× ü → ✓ ?\n".encode()),
        ("ascii", b"18x ? > + ?\n"),
        ("ascii:strict", b"18x ? > + ?\n"),
        ("latin-1", "18× ü > + ?\n".encode("latin-1")),
    ],
)
def test_a_character_that_an_encoding_lacks_is_replaced(encoding: str, expected: bytes) -> None:
    done = run(PRINTS, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


NO_ENTRY_POINTS = {"stack/bootstrap.py", "catwalk/__main__.py", "stack/preloaded_airflow.py"}
"""The first runs before anything is installed, the others hand over to catwalk/cli/main.py and to Airflow."""


def test_every_program_reports_a_mistake_in_one_line() -> None:
    folders = ("catwalk", "grafana", "ml", "monitoring", "stack")
    texts = {path: path.read_text() for folder in folders for path in (PROJECT / folder).rglob("*.py")}
    programs = {str(path.relative_to(PROJECT)) for path, text in texts.items() if "\nif __name__ ==" in text}
    made = {str(path.relative_to(PROJECT)) for path, text in texts.items() if re.search(r"^@entry_point\(", text, re.M)}
    assert programs - NO_ENTRY_POINTS == made


def command(stdout: int, shell: str, buffered: str) -> subprocess.CompletedProcess[bytes]:
    """``catwalk --help``, which prints a page."""
    line = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "catwalk", "--help"]
    known = {**os.environ, "PYTHONUNBUFFERED": buffered}
    return subprocess.run(line, cwd=PROJECT, env=known, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_goes_away_is_not_an_error(buffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = command(writing, "", buffered)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_disk_is_one_line(buffered: str) -> None:
    done = command(subprocess.PIPE, "> /dev/full", buffered)
    assert done.returncode == 1
    assert done.stderr == b"catwalk: can't write to standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_mix_nothing_up(closed: str) -> None:
    done = run("import sys; print('facts'); print('complaint', file=sys.stderr)", subprocess.PIPE, closed)
    assert done.returncode == 0
    assert done.stdout == (b"" if ">&- " in f"{closed} ".replace("2>&- ", "") else b"facts\n")
    assert done.stderr == (b"" if "2>&-" in closed else b"complaint\n")


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ("raise ConfigError('two\\nlines')", 1, "catwalk: two lines"),
        ("open('/nowhere/file')", 1, "catwalk: [Errno 2] No such file or directory: '/nowhere/file'"),
        (INTERRUPTS, 130, "catwalk: interrupted"),
        ("raise KeyboardInterrupt('half done')", 130, "catwalk: half done"),
        ("return 3", 3, ""),
        ("pass", 0, ""),
    ],
)
def test_an_end_is_an_exit_code_and_at_most_one_line(code: str, status: int, line: str) -> None:
    done = run(f"from catwalk.errors import ConfigError; {code}", subprocess.PIPE, CATWALK_DEBUG="")
    assert (done.returncode, done.stdout, done.stderr.decode()) == (status, b"", line and f"{line}\n")


def test_debugging_shows_where_an_error_was_raised() -> None:
    done = run("open('/nowhere/file')", subprocess.PIPE, CATWALK_DEBUG="1")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr


def test_any_other_exception_is_a_bug_with_its_traceback() -> None:
    done = run("raise RuntimeError('a bug')", subprocess.PIPE)
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
