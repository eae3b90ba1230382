"""Kills a process before and after every system call of a write to a folder, and looks at what that leaves.

    killed_writes.py FOLDER first|create|replace|remove

The process that writes is forked from one that has all modules, and stopped by ptrace(2) at each entry and each exit of
a system call: killed at an entry, it hasn't made that call; killed at an exit, it has made it and nothing else. That is
repeated for the first stop, the second and so on, until the write gets through. Prints for each what was there
afterwards, as JSON: ``"old"``, ``"new"``; exits with a traceback where it was anything else.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from catwalk.storage.file_store import FileStore

TRACEME, SYSCALL, SETOPTIONS = 0, 24, 0x4200
TRACESYSGOOD, EXITKILL = 1, 0x100000
KEY, BESIDE, OLD, NEW = "runs/1/run.json", "runs/1/other.json", b"old", b"new one"
_libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(0), ctypes.c_void_p(data)) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")


def traced(work: Callable[[], object]) -> int:
    """A process that does this, and waits at its first system call."""
    child = os.fork()
    if not child:
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        os._exit(0)
    os.waitpid(child, 0)
    ptrace(SETOPTIONS, child, TRACESYSGOOD | EXITKILL)
    return child


def killed_at(stop: int, work: Callable[[], object]) -> bool:
    """Whether a process that does this was killed at this stop; False: it came to its end before."""
    child = traced(work)
    for _ in range(stop):
        ptrace(SYSCALL, child)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the write itself has failed"
            return False
        assert os.WSTOPSIG(status) == signal.SIGTRAP | 0x80, status
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def create(store: FileStore) -> None:
    store.put(KEY, NEW, create=True)


def replace(store: FileStore) -> None:
    store.put(KEY, NEW, if_match=store.etag(KEY))


def remove(store: FileStore) -> None:
    store.delete(KEY)


WRITES = {"first": create, "create": create, "replace": replace, "remove": remove}
BEFORE = {
    "first": {},
    "create": {BESIDE: b"beside"},
    "replace": {BESIDE: b"beside", KEY: OLD},
    "remove": {BESIDE: b"beside", KEY: OLD},
}
AFTER = {"first": NEW, "create": NEW, "replace": NEW, "remove": None}


def left_by(root: Path, stop: int, name: str) -> str | None:
    """What a write that is killed at this stop leaves; None: it was not killed."""
    shutil.rmtree(root, ignore_errors=True)
    url = root.as_uri()
    for key, body in BEFORE[name].items():
        FileStore(url).put(key, body)
    killed = killed_at(stop, lambda: WRITES[name](FileStore(url)))
    found = FileStore(url).find(KEY)
    body = found.body if found else None
    assert body in (BEFORE[name].get(KEY), AFTER[name]), body
    look_at(FileStore(url), {**BEFORE[name], KEY: body}, found.etag if found else None)
    return ("new" if body == AFTER[name] else "old") if killed else None


def look_at(store: FileStore, expected: dict[str, bytes | None], etag: str | None) -> None:
    """A store that a killed writer has left behind: all is there and nothing else, and it can be written to."""
    there = {key: body for key, body in expected.items() if body is not None}
    if there:
        assert {entry.key: store.get(entry.key).body for entry in store.list("")} == there
    store.put(KEY, b"next", if_match=etag, create=etag is None)
    assert {entry.key: store.get(entry.key).body for entry in store.list("")} == {**there, KEY: b"next"}
    assert list((store.root / ".catwalk-store" / "temporary").iterdir()) == [], "what the dead have left is swept"


def main() -> None:
    root, name = Path(sys.argv[1]), sys.argv[2]
    found: list[str] = []
    while (left := left_by(root, len(found), name)) is not None:
        found.append(left)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
