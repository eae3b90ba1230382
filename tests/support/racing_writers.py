"""Processes that write to one object of a folder at the same moment.

    racing_writers.py FOLDER create|swap|count

Prints which of them have won, as JSON; for `count`, what a counter shows that each has raised five times.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from catwalk.errors import PreconditionFailedError
from catwalk.storage.file_store import FileStore

WRITERS, RAISES = 32, 5
KEY = "champions/model.json"


def put(url: str, writer: int, **condition: object) -> bool:
    try:
        FileStore(url).put(KEY, f"writer {writer}".encode(), **condition)
        return True
    except PreconditionFailedError:
        return False


def raise_counter(store: FileStore, writer: int) -> None:
    while True:
        found = store.get(KEY)
        value = int(found.body.split()[0]) + 1
        try:
            store.put(KEY, f"{value} by {writer}".encode(), if_match=found.etag)
            return
        except PreconditionFailedError:
            continue


def race(work: Callable[[int], bool]) -> list[int]:
    """The writers that have won; all wait until the last one has been forked."""
    ready, start = os.pipe()
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            os.close(start)
            os.read(ready, 1)
            os._exit(0 if work(writer) else 1)
        children.append(child)
    os.close(start)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert set(codes) <= {0, 1}, codes
    return [writer for writer, code in enumerate(codes) if code == 0]


def main() -> None:
    url, name = sys.argv[1:]
    store = FileStore(url)
    if name == "create":
        print(json.dumps(race(lambda writer: put(url, writer, create=True))))
        return
    etag = store.put(KEY, b"0")
    if name == "swap":
        print(json.dumps(race(lambda writer: put(url, writer, if_match=etag))))
        return
    race(lambda writer: all(raise_counter(FileStore(url), writer) is None for _ in range(RAISES)))
    print(store.get(KEY).body.split()[0].decode())


if __name__ == "__main__":
    main()
