"""Delivers what the store holds for one channel, and retries until it succeeds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from catwalk_courier.journal.store import Delivery, Store

log = logging.getLogger("catwalk.courier")

LONGEST_PAUSE = 600.0
"""The most seconds between two attempts of a delivery."""
_LOOK_SECONDS = 1.0
"""How soon a callout is noticed; notifications wake their channel at once."""


class RefusedError(Exception):
    """The other side will never accept this; retries are useless."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    channel: str
    delivered: bool


class Courier:
    """The thread of one channel: a channel that hangs doesn't delay others."""

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
            store: The store of the deliveries.
            channel: The channel to deliver to.
            deliver: Makes an attempt. Raises any exception if it fails, and :class:`RefusedError` if it always will.
            first_pause: Seconds after the first failure; each further one doubles it, up to ten minutes.
            tell: Called with the outcome of each attempt.
        """
        self.channel = channel
        self._store, self._deliver, self._first_pause, self._tell = store, deliver, first_pause, tell
        self._stopped, self._news = threading.Event(), threading.Event()

    def start(self) -> None:
        """Starts delivering; call it only once."""
        threading.Thread(target=self._run, name=f"courier-{self.channel}", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after the current attempt; does not wait for it."""
        self._stopped.set()
        self._news.set()

    def wake(self) -> None:
        """Checks for new deliveries at once."""
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
            except Exception:  # for example a full disk, which the thread must survive
                log.exception("deliveries through %s failed", self.channel)
                self._stopped.wait(_LOOK_SECONDS)

    def _try(self, delivery: Delivery) -> None:
        self._store.begin(delivery)
        try:
            self._deliver(delivery)
        except RefusedError as error:
            self._store.end(delivery, time.time(), one_line(error))
            log.error("%s refuses the message, gave up: %s", self.channel, one_line(error))
            self._tell(Outcome(self.channel, delivered=False))
        except Exception as error:
            pause = min(LONGEST_PAUSE, self._first_pause * 2 ** min(delivery.attempts, 20))
            self._store.postpone(delivery, time.time() + pause, one_line(error))
            log.warning("%s failed, retrying in %.0f s: %s", self.channel, pause, one_line(error))
            self._tell(Outcome(self.channel, delivered=False))
        else:
            self._store.end(delivery, time.time())
            self._tell(Outcome(self.channel, delivered=True))


def _left(delivery: Delivery) -> float:
    """Returns the seconds until it is due. More than the longest pause means that the clock was set back: it is due
    now.
    """
    left = delivery.due - time.time()
    return left if left <= LONGEST_PAUSE else 0.0


def one_line(error: Exception) -> str:
    """Returns an error for a log, or its type if it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__
