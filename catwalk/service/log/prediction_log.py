"""The prediction log of one process: what was answered under which id, for labels that come later.

A writer thread appends to a segment on this machine, so that a disk that hangs holds no request for more than 25 ms;
what is not written by then is dropped, and counted. A second thread brings what was written to the disk each second, a
third brings closed segments to the ledger. A killed process loses nothing that it has said to be logged; a machine that
fails loses the last second.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from catwalk.errors import CatwalkError, ConfigError
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.service.log import shipping
from catwalk.service.log.book import Book
from catwalk.service.log.lines import Answer, Header, Label, Tally
from catwalk.storage.file_systems import shared_kind
from catwalk.storage.store import Store

log = logging.getLogger("catwalk.service")

PATIENCE_SECONDS = 0.025
"""The time that a request waits for the writer. Python switches threads every 5 ms, so a shorter time would drop
predictions of a busy process."""
STUCK_SECONDS = 1.0
"""Requests stop waiting for a writer after this time: its disk hangs."""
SYNC_SECONDS = 1.0
MOST_BYTES = 512 * 2**20
"""The bytes on this machine that may wait for the ledger."""
_MOST_WAITING = 1_000
"""Requests that may wait for the writer at the same time."""
_NO_ID = (
    "a prediction is not logged: its id is neither printable text of 1 to 200 characters nor a whole number nor a "
    "UUID; further ones are counted as dropped"
)


@dataclass(eq=False)
class _Batch:
    """Predictions of one request, on their way to the writer."""

    header: Header
    answers: Sequence[Answer]
    settled: threading.Event = field(default_factory=threading.Event)
    logged: bool = False


class PredictionLog:
    """May be used from any thread of the process that has made it; a forked child's predictions are not logged."""

    def __init__(self, folder: Path, store: Store, *, sample: float = 1.0, most_bytes: int = MOST_BYTES) -> None:
        """
        Args:
            folder: A folder on this machine, created if necessary. Processes may share it, and must find it again after
                a restart.
            store: The ledger, where segments go.
            sample: The share of the predictions to keep, 0 to 1, chosen by their ids.
            most_bytes: The bytes on this machine that may wait for the ledger; beyond them, predictions are dropped.

        Raises:
            ConfigError: The folder can't be written to, or is on a file system that machines share; or the sample is
                not a share.
        """
        if isinstance(sample, bool) or not isinstance(sample, int | float) or not 0 <= sample <= 1:
            raise ConfigError(f"sample: expected a share from 0 to 1; got {sample!r:.60}")
        self._sample = sample
        self._book = Book(prepared(folder), most_bytes)
        self._store = store
        self._pid = os.getpid()
        self._waiting: deque[_Batch] = deque()
        self._changed = threading.Condition()
        self._writing_since = math.inf
        self._closing = threading.Event()
        self._closed_one = threading.Event()
        self._counts: dict[str, Tally] = {}
        self._uncounted: dict[tuple[str, str], tuple[Header, Tally]] = {}
        self._troubles: set[str] = set()
        self._threads = [
            threading.Thread(target=run, name=f"catwalk-log-{run.__name__.strip('_')}", daemon=True)
            for run in (self._write, self._keep, self._ship)
        ]
        for thread in self._threads:
            thread.start()

    def log(self, reference: ReferenceRecord, version: str, answers: Sequence[Answer]) -> list[bool]:
        """Writes predictions within 25 ms, or drops them.

        Args:
            reference: The reference of the version.
            version: The version that has answered.
            answers: One or many; a prediction with an empty id is dropped.

        Returns:
            Whether each is in the log; if it is, it survives this process, however that ends.
        """
        if os.getpid() != self._pid:  # a lock may have been held when it was forked
            return [False] * len(answers)
        header = Header(reference.model, _day(time.time()), version, reference.kind, list(reference.classes))
        usable = [bool(each.id) for each in answers]
        if not all(usable):
            self._trouble("id", _NO_ID)
        chosen = [bool(each.id) and self._is_chosen(each.id) for each in answers]
        batch = _Batch(header, [each for each, keep in zip(answers, chosen, strict=True) if keep])
        written = bool(batch.answers) and self._hand_over(batch)
        if not all(chosen):
            self._count(header, sampled_out=sum(usable) - sum(chosen), dropped=len(answers) - sum(usable))
        return [keep and written for keep in chosen]

    def label(self, model: str, labels: Sequence[Label]) -> None:
        """Stores labels; when this returns, they are on the disk.

        Raises:
            CatwalkError: They could not be written; all or none of them may be stored, and sending them again is
                harmless.
        """
        self._check_open()
        try:
            self._book.label(Header(model, _day(time.time())), labels)
        except OSError as error:
            raise CatwalkError(f"the labels can't be stored: {error}; send them again") from error

    def counts(self, version: str) -> Tally:
        """Returns the outcomes of this process' predictions by a version so far."""
        with self._changed:
            return replace(self._counts.get(version, Tally()))

    def close(self, timeout: float = 10.0) -> None:
        """Takes no more predictions, writes everything to the disk, and as much as possible to the ledger.

        Args:
            timeout: In seconds. What is not in the ledger by then stays in the folder for the next process.
        """
        ends = time.monotonic() + timeout
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._closed_one.set()
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _is_chosen(self, id_: str) -> bool:
        if self._sample >= 1:
            return True
        digest = hashlib.blake2b(id_.encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._sample * 2**64

    def _hand_over(self, batch: _Batch) -> bool:
        with self._changed:
            stuck = time.monotonic() - self._writing_since > STUCK_SECONDS
            refused = stuck or self._closing.is_set() or len(self._waiting) >= _MOST_WAITING
            if not refused:
                self._waiting.append(batch)
                self._changed.notify()
        if not refused and batch.settled.wait(PATIENCE_SECONDS):
            return batch.logged
        with self._changed:
            taken = not refused and batch not in self._waiting
            if not taken and not refused:
                self._waiting.remove(batch)
        if not taken:  # otherwise, the writer counts its outcome
            self._count(batch.header, dropped=len(batch.answers))
        return taken and batch.settled.is_set() and batch.logged

    def _count(self, header: Header, **numbers: int) -> None:
        """Counts outcomes of predictions. Never waits for the disk."""
        with self._changed:
            _add(self._counts.setdefault(header.version, Tally()), numbers)
            if "logged" not in numbers:  # their own lines count these
                _add(self._uncounted.setdefault((header.version, header.day), (header, Tally()))[1], numbers)

    def _note_uncounted(self) -> None:
        """Passes the counts of predictions that have no line to the book."""
        with self._changed:
            uncounted, self._uncounted = self._uncounted, {}
        for header, tally in uncounted.values():
            self._book.note(header, tally)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting:
                    return
                batches, self._waiting = list(self._waiting), deque()
                self._writing_since = time.monotonic()
            for _, same in groupby(batches, lambda batch: (batch.header.version, batch.header.day)):
                self._settle(list(same))
            self._writing_since = math.inf

    def _settle(self, batches: list[_Batch]) -> None:
        """Writes predictions of one version and day, those of simultaneous requests together."""
        header, answers = batches[0].header, [answer for batch in batches for answer in batch.answers]
        try:
            self._note_uncounted()
            self._book.log(header, answers)
            self._count(header, logged=len(answers))
            self._well("write")
        except Exception as error:
            self._count(header, dropped=len(answers))
            self._trouble("write", f"predictions are not logged: {error}")
        else:
            for batch in batches:
                batch.logged = True
        for batch in batches:
            batch.settled.set()

    def _keep(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._keep_once(False)
        self._threads[0].join()
        self._keep_once(True)

    def _keep_once(self, close: bool) -> None:
        try:
            self._note_uncounted()
            if self._book.keep(_day(time.time()), close):
                self._closed_one.set()
            self._well("sync")
        except Exception as error:
            self._trouble("sync", f"the log can't be written to the disk: {error}")

    def _ship(self) -> None:
        while not self._closing.is_set():
            self._ship_once()
            self._closed_one.wait(shipping.PAUSE_SECONDS)
            self._closed_one.clear()
        self._threads[1].join()
        self._ship_once()

    def _ship_once(self) -> None:
        try:
            shipping.ship(self._book.folder, self._store)
            self._well("ship")
        except Exception as error:
            self._trouble("ship", f"the log waits in {self._book.folder}: {error}")

    def _check_open(self) -> None:
        if self._closing.is_set() or os.getpid() != self._pid:
            raise CatwalkError("the log of this process is closed; send the labels again")

    def _trouble(self, where: str, message: str) -> None:
        """Logs one line when something begins to fail."""
        if where not in self._troubles:
            log.warning("%s", message)
        self._troubles.add(where)

    def _well(self, where: str) -> None:
        self._troubles.discard(where)


def _add(tally: Tally, numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        setattr(tally, name, getattr(tally, name) + number)


def prepared(folder: Path) -> Path:
    """Returns the folder of a log, created if necessary.

    Raises:
        ConfigError: It can't be written to, or machines share it.
    """
    kind = ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind = shared_kind(folder)
        (folder / ".writable").touch()
    except OSError as error:
        raise ConfigError(f"log: {folder} can't be written to: {error}") from error
    if kind:
        raise ConfigError(f"log: {folder} is on {kind}, which other machines may share; give a folder of this machine")
    return folder


def _day(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
