"""Kills a process before and after every system call of a write to the log of a service, or of its way to the ledger.

    killed_logs.py FOLDER predictions|labels|ship

What was acknowledged before the kill must be in the ledger once the next process has looked after the folder; and so
must all that lay there before. Prints the number of kills.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path

from catwalk.service.log import lines, shipping
from catwalk.service.log.book import Book
from catwalk.service.log.lines import Answer, Header, Label
from catwalk.storage.file_store import FileStore
from tests.support.killed_writes import killed_at

MODEL, DAY, ROOM = "churn", "2026-11-27", 2**20
PREDICTIONS = Header(MODEL, DAY, "v1", "binary", ["no", "yes"])
LABELS = Header(MODEL, DAY)


class Place:
    """A log's folder, a ledger, and what was acknowledged."""

    def __init__(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.folder, self.said = root / "log", root / "acknowledged"
        self.folder.mkdir(parents=True)
        self.store = FileStore((root / "ledger").as_uri())
        self.write("old")

    def write(self, name: str) -> None:
        """By a process that then ends."""
        book = Book(self.folder, ROOM)
        book.log(PREDICTIONS, [Answer(name, 1.0, 0.3)])
        book.keep(DAY, close=True)

    def predictions(self) -> None:
        book = Book(self.folder, ROOM)
        for name in ("first", "second"):
            book.log(PREDICTIONS, [Answer(name, 1.0, 0.3)])
            self._acknowledge(name)

    def labels(self) -> None:
        book = Book(self.folder, ROOM)
        for name in ("first", "second"):
            book.label(LABELS, [Label(name, "yes", 1.0, 1.0)])
            self._acknowledge(name)

    def ship(self) -> None:
        shipping.ship(self.folder, self.store)

    def _acknowledge(self, name: str) -> None:
        with self.said.open("a") as file:
            file.write(f"{name}\n")

    def check(self) -> None:
        """What the next process finds and does."""
        said = {"old", *(self.said.read_text().splitlines() if self.said.exists() else [])}
        shipping.ship(self.folder, self.store)
        assert list(self.folder.iterdir()) == [], "the folder is empty"
        found = [
            line["id"]
            for entry in self.store.list("")
            for line in lines.decoded(gzip.decompress(self.store.get(entry.key).body))
            if line is not None and "id" in line
        ]
        assert said <= set(found), f"acknowledged and lost: {said - set(found)}"
        assert len(found) == len(set(found)), "each is there once"


def main() -> None:
    root, name = Path(sys.argv[1]), sys.argv[2]
    kills = 0
    while True:
        place = Place(root)
        killed = killed_at(kills, getattr(place, name))
        place.check()
        if not killed:
            break
        kills += 1
    print(json.dumps(kills))


if __name__ == "__main__":
    main()
