"""The segments that a process has open: one for each version and day of predictions, one for labels."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from catwalk.service.log import lines
from catwalk.service.log.lines import Answer, Header, Label, Tally
from catwalk.service.log.segment import Segment, segments

SEGMENT_SECONDS = 300.0
SEGMENT_BYTES = 16 * 2**20
"""An open segment is closed, and goes to the ledger, after this time or at this size."""


class Page:
    """One segment, with the first line and the tally that belong to it."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.tally = Tally()
        self.unwritten = False
        """The tally has changed since the last line."""
        self.segment: Segment | None = None
        """None if none is open yet, or if none can be opened."""
        self._opened = 0.0

    def append(self, folder: Path, body: bytes) -> None:
        """Writes lines, into a new segment if necessary; raises OSError."""
        if self.segment is None:
            self.segment = Segment(folder, lines.header(self.header))
            self._opened = time.monotonic()
        self.segment.append(body)

    def is_due(self, day: str) -> bool:
        """Returns whether it is time to close the segment."""
        if self.segment is None:
            return False
        age = time.monotonic() - self._opened
        return age > SEGMENT_SECONDS or self.segment.size > SEGMENT_BYTES or day > self.header.day


class Book:
    """All pages of a process; may be used from any thread. Methods that write raise OSError if the disk does."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._pages: dict[tuple[str, str], Page] = {}
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._closed_bytes = 0

    def log(self, header: Header, answers: Sequence[Answer]) -> None:
        """Writes predictions."""
        with self._lock:
            page = self._page(header)
            self._check_room()
            written, tally = [], Tally(**vars(page.tally))
            for each in answers:
                tally.logged += 1
                written.append(lines.answer(each, tally))
            page.append(self.folder, b"".join(written))
            page.tally, page.unwritten = tally, False

    def note(self, header: Header, more: Tally) -> None:
        """Counts predictions that are not written; a later line, or :meth:`keep`, writes the counts."""
        with self._lock:
            page = self._page(header)
            page.tally.sampled_out += more.sampled_out
            page.tally.dropped += more.dropped
            page.unwritten = True

    def label(self, header: Header, labels: Sequence[Label]) -> None:
        """Writes labels, and waits until they are on the disk."""
        with self._syncing:
            with self._lock:
                self._check_room()
                page = self._page(header)
                page.append(self.folder, b"".join(map(lines.label, labels)))
                segment = page.segment
            if segment:
                segment.sync()

    def keep(self, day: str, close: bool = False) -> bool:
        """Syncs everything that was written, and closes what is due, or all. Returns whether it closed any."""
        with self._syncing:
            with self._lock:
                for page in self._pages.values():
                    self._tell(page)
                open_ = [page.segment for page in self._pages.values() if page.segment]
            self._closed_bytes = self._measured(open_)
            for segment in open_:
                segment.sync()
            with self._lock:
                due = [key for key, page in self._pages.items() if close or page.is_due(day)]
                closed = [ended for key in due if (ended := self._closed(key, close))]
            for segment in closed:
                with suppress(OSError):
                    segment.sync()
                segment.close()
        return bool(closed)

    def _page(self, header: Header) -> Page:
        key = header.version, header.day
        if key not in self._pages:
            self._pages[key] = Page(header)
        return self._pages[key]

    def _tell(self, page: Page) -> None:
        if page.unwritten:
            with suppress(OSError):  # a later line says it
                page.append(self.folder, lines.tally(page.tally))
                page.unwritten = False

    def _closed(self, key: tuple[str, str], last: bool) -> Segment | None:
        """Ends a page, and returns its segment.

        Returns None if the page's tally can't be written and would be lost; the last time, it is lost.
        """
        page = self._pages[key]
        self._tell(page)
        if page.unwritten and not last:
            return None
        del self._pages[key]
        return page.segment

    def _check_room(self) -> None:
        used = self._closed_bytes + sum(page.segment.size for page in self._pages.values() if page.segment)
        if used >= self._most_bytes:
            raise OSError(f"{self.folder} holds {used:,} bytes that wait for the ledger, and {self._most_bytes:,} may")

    def _measured(self, open_: Sequence[Segment]) -> int:
        mine = {segment.path for segment in open_}
        total = 0
        for path in segments(self.folder):
            with suppress(FileNotFoundError):
                total += 0 if path in mine else path.stat().st_size
        return total
