"""A line a second through StatsD: the exporter exports how many were sent, statsd_exporter how many came through."""

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
"""How often counters are announced: their first event is then a rise from 0, which `increase()` sees."""

Amount = tuple[Metric, Mapping[str, str], int]


def announcements() -> list[Amount]:
    """A 0 for every StatsD counter of the catalogue, in each combination of its labels' values.

    Raises:
        KeyError: a counter has a label whose values are not known beforehand.
    """
    return [
        (metric, dict(zip(metric.labels, values, strict=True)), 0)
        for metric in catalogue.by_transport("statsd")
        if metric.kind == "counter"
        for values in product(*(catalogue.LABEL_VALUES[label] for label in metric.labels))
    ]


class Canary:
    """Sends from a thread of its own between :meth:`start` and :meth:`stop`."""

    def __init__(self, emitter: Emitter) -> None:
        self.sent = 0
        """Canary lines sent so far, those included that could not leave: what is missing at the other end is lost."""
        self._emitter = emitter
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def start(self) -> None:
        """Begins sending; once only."""
        self._thread.start()

    def stop(self) -> None:
        """Ends sending and waits for the thread."""
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
            # After the machine slept, going on from now beats catching up in a burst.
            due = max(due + INTERVAL_SECONDS, time.monotonic())


def canary_from_environment(environment: Mapping[str, str] = os.environ) -> Canary | None:
    """A canary for the listener that ``CATWALK_STATSD`` names; None where telemetry is off.

    Raises:
        ConfigError: the variable is not ``host:port``.
    """
    text = environment.get(VARIABLE, "").strip()
    return Canary(Emitter(Address.parse(text, VARIABLE))) if text else None
