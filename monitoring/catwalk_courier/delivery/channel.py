"""Delivers what the store holds for one channel, and tries again until it succeeds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from catwalk_courier.journal.store import Delivery, Store

log = logging.getLogger("catwalk.courier")

LONGEST_PAUSE = 600.0
"""Seconds between two tries of one delivery, at most."""
_LOOK_SECONDS = 1.0
"""How soon a call-out is seen; notifications wake their channel at once."""


class RefusedError(Exception):
    """The other side will never take this; trying again is in vain."""


@dataclass(frozen=True)
class Outcome:
    """How a try ended."""

    channel: str
    delivered: bool


class Courier:
    """One channel's thread, so that one that hangs holds up no other."""

    def __init__(
        self,
        store: Store,
        channel: str,
        deliver: Callable[[Delivery], None],
        first_pause: float,
        tell: Callable[[Outcome], None],
    ) -> None:
        """
        Args:
            store: what holds the deliveries.
            channel: whose.
            deliver: makes a try. Raises what it likes when it fails, and :class:`RefusedError` when it always will.
            first_pause: seconds after the first failure; each further one doubles it, up to ten minutes.
            tell: is told how each try ended.
        """
        self.channel = channel
        self._store, self._deliver, self._first_pause, self._tell = store, deliver, first_pause, tell
        self._stopped, self._news = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begins to deliver; once only."""
        threading.Thread(target=self._run, name=f"courier-{self.channel}", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after the try that is under way; waits for nothing."""
        self._stopped.set()
        self._news.set()

    def wake(self) -> None:
        """There may be something new."""
        self._news.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            try:
                delivery = self._store.next_delivery(self.channel)
                pause = min(_LOOK_SECONDS, _left(delivery)) if delivery else _LOOK_SECONDS
                if delivery and pause <= 0:
                    self._try(delivery)
                else:
                    self._news.wait(pause)
            except Exception:  # a full disk, say: the thread must outlive it
                log.exception("deliveries by %s", self.channel)
                self._stopped.wait(_LOOK_SECONDS)

    def _try(self, delivery: Delivery) -> None:
        self._store.begin(delivery)
        try:
            self._deliver(delivery)
        except RefusedError as error:
            self._store.end(delivery, time.time(), one_line(error))
            log.error("%s refuses it, given up: %s", self.channel, one_line(error))
            self._tell(Outcome(self.channel, delivered=False))
        except Exception as error:
            pause = min(LONGEST_PAUSE, self._first_pause * 2 ** min(delivery.attempts, 20))
            self._store.postpone(delivery, time.time() + pause, one_line(error))
            log.warning("%s failed, next try in %.0f s: %s", self.channel, pause, one_line(error))
            self._tell(Outcome(self.channel, delivered=False))
        else:
            self._store.end(delivery, time.time())
            self._tell(Outcome(self.channel, delivered=True))


def _left(delivery: Delivery) -> float:
    """Seconds until it is due. None waits for longer than the longest pause: then the clock was set back."""
    left = delivery.due - time.time()
    return left if left <= LONGEST_PAUSE else 0.0


def one_line(error: Exception) -> str:
    """An error for a log; its kind where it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__
