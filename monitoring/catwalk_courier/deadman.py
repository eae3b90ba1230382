"""The dead-man watch: notices that the Watchdog is silent, an alert that is firing as long as the alert chain works.

Only time in which the courier listened counts as silence. So its restart does not reset the clock or count time in
which it could not hear the Watchdog, and a machine that slept raises no alarm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from catwalk_courier.journal.store import Store

log = logging.getLogger("catwalk.courier")

State = Literal["waiting", "well", "silent", "planned"]
STATES: tuple[State, ...] = ("waiting", "well", "silent", "planned")
Event = Literal["silent", "recovered"]
_KEEP_SECONDS = 5.0
"""How often the state is written while nothing happens: a killed courier forgets at most this much of a silence."""


@dataclass(frozen=True)
class Limits:
    """How long the Watchdog may be silent."""

    silence_seconds: float = 60.0
    """Seconds since the Watchdog was last heard. It arrives every 20 s, so three are missing by then. A restart of
    Alertmanager takes up to 35 s; one of Prometheus goes unnoticed, because Alertmanager keeps an alert for 40 s.
    """
    grace_seconds: float = 300.0
    """Seconds if it was never heard: a stack's cold start may take four minutes."""


@dataclass(frozen=True)
class Watch:
    """The state of the watch. Stored on disk."""

    silence: float = 0.0
    """Seconds for which the courier has listened since the Watchdog was last heard, or since the watch began."""
    heard: float | None = None
    """The Unix time at which it was last heard; None if never since the watch began, or since a planned stop."""
    called: bool = False
    """Whether a callout was made for this silence."""
    planned_from: float = 0.0
    """The Unix time from which silence is planned; without it, a clock that is set back would prolong the plan for
    days.
    """
    planned_until: float = 0.0
    """The Unix time until which silence is planned."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Watch:
        """Returns a stored state; unknown keys are ignored, missing ones have their defaults."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def is_planned(self, now: float) -> bool:
        """Returns whether silence is planned at this Unix time."""
        return self.planned_from <= now < self.planned_until

    def state(self, now: float, limits: Limits) -> State:
        """Returns the Watchdog's state at this Unix time."""
        if self.is_planned(now):
            return "planned"
        if self.silence >= (limits.grace_seconds if self.heard is None else limits.silence_seconds):
            return "silent"
        return "waiting" if self.heard is None else "well"


def listened(watch: Watch, seconds: float, now: float, limits: Limits) -> tuple[Watch, Event | None]:
    """Returns the watch after this many more seconds of silence, and the event that follows, if any."""
    if watch.is_planned(now):
        return replace(watch, silence=0.0, heard=None, called=False), None
    watch = replace(watch, silence=watch.silence + seconds)
    if watch.state(now, limits) == "silent" and not watch.called:
        return replace(watch, called=True), "silent"
    return watch, None


def heard(watch: Watch, now: float) -> tuple[Watch, Event | None]:
    """Returns the watch after the Watchdog was heard, and the event that follows, if any."""
    return replace(watch, silence=0.0, heard=now, called=False), "recovered" if watch.called else None


class DeadMan:
    """Watches in its own thread between :meth:`start` and :meth:`stop`."""

    def __init__(self, store: Store, limits: Limits, call: Callable[[Event, Watch], Mapping[str, Mapping[str, Any]]]):
        """
        Args:
            store: Where the state is stored.
            limits: How long the Watchdog may be silent.
            call: Returns the callouts for an event: what to deliver by channel. They are queued in the same transaction
                as the new state, so that a kill can't separate the two.
        """
        self.watch = Watch.from_dict(store.watch())
        self.limits = limits
        self._store, self._call = store, call
        self._lock = threading.Lock()
        self._kept = time.monotonic()
        self._stopped = threading.Event()
        self._tick = min(1.0, limits.silence_seconds / 10, limits.grace_seconds / 10)

    def start(self) -> None:
        """Starts counting; call it only once."""
        threading.Thread(target=self._run, name="deadman", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread and stores the state."""
        self._stopped.set()
        with self._lock:
            self._keep(self.watch, None)

    def hear(self) -> None:
        """Records that the Watchdog was heard. The change is on disk when this returns."""
        with self._lock:
            self._keep(*heard(self.watch, time.time()))

    def plan(self, seconds: float) -> None:
        """Plans a silence of this many seconds from now; 0 ends a plan, and gives the Watchdog a new grace period.

        If nothing is planned, or a callout was already made for a silence, 0 changes nothing: it must not hide a
            recovery.
        """
        with self._lock:
            if not seconds and (self.watch.called or not self.watch.planned_until):
                return
            now = time.time()
            self._keep(Watch(planned_from=now, planned_until=now + seconds) if seconds else Watch(), None)

    def state(self) -> State:
        """Returns the Watchdog's current state."""
        return self.watch.state(time.time(), self.limits)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(self._tick):
            now = time.monotonic()
            # A machine that slept, or was too busy to run this, did not listen either.
            seconds, last = min(now - last, 5 * self._tick), now
            try:
                with self._lock:
                    self._advance(seconds)
            except Exception:  # a watch must never die silently
                log.exception("the dead-man watch could not store its state")

    def _advance(self, seconds: float) -> None:
        watch, event = listened(self.watch, seconds, time.time(), self.limits)
        if event or time.monotonic() - self._kept >= min(_KEEP_SECONDS, 5 * self._tick):
            self._keep(watch, event)
        else:
            self.watch = watch

    def _keep(self, watch: Watch, event: Event | None) -> None:
        callouts = self._call(event, watch) if event else {}
        self._store.keep_watch(asdict(watch), callouts, time.time())
        self.watch, self._kept = watch, time.monotonic()
        if event:
            log.warning("the Watchdog is %s", "silent: alerts would reach no one" if event == "silent" else "back")
            if not callouts:
                log.warning("no callout is made: no receiver is configured")
