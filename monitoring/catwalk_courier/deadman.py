"""The dead-man watch: notices that the Watchdog has gone silent, an alert that fires as long as the alarm chain works.

Only the time in which the courier listened counts as silence. So its restart neither sets the clock back nor blames the
Watchdog for what nobody could hear, and a machine that slept raises no alarm.
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
"""How often the state is written while nothing happens: a killed courier forgets this much of a silence at most."""


@dataclass(frozen=True)
class Limits:
    """How much silence is too much."""

    silence_seconds: float = 60.0
    """Since the Watchdog was last heard. It comes every 20 s, so that three are missing then. A restart of Alertmanager
    costs up to 35 s; one of Prometheus goes unnoticed, as Alertmanager keeps an alert for 40 s."""
    grace_seconds: float = 300.0
    """When it was never heard: a stack's cold start may take four minutes."""


@dataclass(frozen=True)
class Watch:
    """What the watch knows. Kept on disk."""

    silence: float = 0.0
    """Seconds for which the courier has listened since the Watchdog was last heard, or since the watch began."""
    heard: float | None = None
    """Unix time at which it was last heard; None: never since the watch began, or since a planned stop."""
    called: bool = False
    """This silence was called out."""
    planned_from: float = 0.0
    """Unix time from which on silence is planned: not before, or a clock that is set back would plan on for days."""
    planned_until: float = 0.0
    """Unix time until which silence is planned."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Watch:
        """From what was kept; unknown keys are left out, missing ones have their defaults."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def is_planned(self, now: float) -> bool:
        """Whether silence is planned at this Unix time."""
        return self.planned_from <= now < self.planned_until

    def state(self, now: float, limits: Limits) -> State:
        """What is to be said of the Watchdog at this Unix time."""
        if self.is_planned(now):
            return "planned"
        if self.silence >= (limits.grace_seconds if self.heard is None else limits.silence_seconds):
            return "silent"
        return "waiting" if self.heard is None else "well"


def listened(watch: Watch, seconds: float, now: float, limits: Limits) -> tuple[Watch, Event | None]:
    """The watch after so many more seconds in which nothing was heard, and what has come of it."""
    if watch.is_planned(now):
        return replace(watch, silence=0.0, heard=None, called=False), None
    watch = replace(watch, silence=watch.silence + seconds)
    if watch.state(now, limits) == "silent" and not watch.called:
        return replace(watch, called=True), "silent"
    return watch, None


def heard(watch: Watch, now: float) -> tuple[Watch, Event | None]:
    """The watch after the Watchdog was heard, and what has come of it."""
    return replace(watch, silence=0.0, heard=now, called=False), "recovered" if watch.called else None


class DeadMan:
    """Keeps watch in a thread of its own between :meth:`start` and :meth:`stop`."""

    def __init__(self, store: Store, limits: Limits, call: Callable[[Event, Watch], Mapping[str, Mapping[str, Any]]]):
        """
        Args:
            store: where the state is kept.
            limits: how much silence is too much.
            call: makes the call-outs for an event: channel → what to deliver. They are queued in the same step that
                keeps the new state, so that a kill can't separate the two.
        """
        self.watch = Watch.from_dict(store.watch())
        self.limits = limits
        self._store, self._call = store, call
        self._lock = threading.Lock()
        self._kept = time.monotonic()
        self._stopped = threading.Event()
        self._tick = min(1.0, limits.silence_seconds / 10, limits.grace_seconds / 10)

    def start(self) -> None:
        """Begins to count; once only."""
        threading.Thread(target=self._run, name="deadman", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread and keeps the state."""
        self._stopped.set()
        with self._lock:
            self._keep(self.watch, None)

    def hear(self) -> None:
        """The Watchdog was heard. The change is on the disk when this returns."""
        with self._lock:
            self._keep(*heard(self.watch, time.time()))

    def plan(self, seconds: float) -> None:
        """Silence is planned for so long from now; 0 ends a plan, and gives the Watchdog a new grace period.

        Where nothing is planned, or a silence was called out already, 0 changes nothing: it must not hide a recovery.
        """
        with self._lock:
            if not seconds and (self.watch.called or not self.watch.planned_until):
                return
            now = time.time()
            self._keep(Watch(planned_from=now, planned_until=now + seconds) if seconds else Watch(), None)

    def state(self) -> State:
        """What is to be said of the Watchdog now."""
        return self.watch.state(time.time(), self.limits)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(self._tick):
            now = time.monotonic()
            # A machine that slept, or was too busy to run this, has not listened either.
            seconds, last = min(now - last, 5 * self._tick), now
            try:
                with self._lock:
                    self._advance(seconds)
            except Exception:  # a watch that dies in silence is the one thing that must not be
                log.exception("the dead-man watch could not keep its state")

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
            log.warning("the Watchdog is %s", "silent: nobody would hear of an alert" if event == "silent" else "back")
            if not callouts:
                log.warning("nobody is called out: no receiver is configured")
