"""Sends a line per second through StatsD: the exporter exports how many were sent, statsd_exporter how many arrived."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from itertools import product

from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.emitter import VARIABLE, Emitter
from catwalk.telemetry.wire.address import Address

INTERVAL_SECONDS = 1.0
ANNOUNCE_SECONDS = 15.0
"""How often counters are announced: their first event is then an increase from 0, which `increase()` sees."""

Amount = tuple[Metric, Mapping[str, str], int]


def announcements() -> list[Amount]:
    """Returns a 0 for every StatsD counter of the catalogue and every combination of its label values.

    Raises:
        KeyError: a counter has a label whose values are not known in advance.
    """
    return [
        (metric, dict(zip(metric.labels, values, strict=True)), 0)
        for metric in catalogue.by_transport("statsd")
        if metric.kind == "counter"
        for values in product(*(catalogue.LABEL_VALUES[label] for label in metric.labels))
    ]


class Canary:
    """Sends from its own thread between :meth:`start` and :meth:`stop`."""

    def __init__(self, emitter: Emitter) -> None:
        self.sent = 0
        """How many canary lines were sent, including those that could not leave: lines missing at the other end are
        lost.
        """
        self._emitter = emitter
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def start(self) -> None:
        """Starts sending; call it only once."""
        self._thread.start()

    def stop(self) -> None:
        """Stops sending and waits for the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        announce_at = due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            amounts: list[Amount] = [(catalogue.CANARY_RECEIVED, {}, 1)]
            if due >= announce_at:
                amounts += announcements()
                announce_at += ANNOUNCE_SECONDS
            self.sent += 1
            self._emitter.count(amounts)
            # After the machine slept, continue from now: catching up would send a burst.
            due = max(due + INTERVAL_SECONDS, time.monotonic())


def canary_from_environment(environment: Mapping[str, str] = os.environ) -> Canary | None:
    """Returns a canary for the listener in ``CATWALK_STATSD``; None if telemetry is off.

    Raises:
        ConfigError: the variable is not ``host:port``.
    """
    text = environment.get(VARIABLE, "").strip()
    return Canary(Emitter(Address.parse(text, VARIABLE))) if text else None
