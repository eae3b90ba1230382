"""The whole courier: store, dead-man watch, callouts, annotations and heartbeat, configured from the environment."""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catwalk.clients import access, alertmanager
from catwalk.clients.episodes import WATCHDOGS, episodes
from catwalk.clients.grafana import Grafana
from catwalk.environment import urls, variables
from catwalk.environment.parts import home, part_url, public_url
from catwalk.environment.proxies import fetch_outside
from catwalk.errors import ConfigError
from catwalk.notifications import receivers
from catwalk.notifications.receivers import EVERYBODY, Channels
from catwalk.storage.opening import VARIABLE as STORE
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store as Ledger
from catwalk.telemetry import catalogue
from catwalk_courier import pages
from catwalk_courier.baselines import Baselines
from catwalk_courier.deadman import DeadMan, Event, Limits, Watch
from catwalk_courier.delivery import callout
from catwalk_courier.delivery.annotations import Annotator
from catwalk_courier.delivery.channel import Courier, Outcome, one_line
from catwalk_courier.delivery.transports import TIMEOUT
from catwalk_courier.journal.store import GRAFANA, KEPT_SECONDS, Store
from catwalk_courier.metrics import HEARTBEAT, Gauges, Metrics
from catwalk_courier.payload import Message
from catwalk_courier.retraining.retrainer import Retrainer

log = logging.getLogger("catwalk.courier")

SHOWN = 200
"""The most notifications on the page."""


@dataclass(frozen=True)
class Settings:
    """The settings from the environment."""

    file: Path
    """Where everything is stored."""
    password: str
    """The password for posting to the courier."""
    limits: Limits = field(default_factory=Limits)
    channels: Channels = field(default_factory=Channels)
    """The channels of the dead-man watch's callouts."""
    grafana: Grafana | None = None
    heartbeat_url: str = ""
    heartbeat_seconds: float = 60.0
    retry_seconds: float = 5.0
    """The pause after the first failure of a delivery."""
    ledger: Ledger | None = None
    """The ledger with the slots of retraining on request and the baselines; None if the courier handles neither."""
    baselines: bool = True
    """Whether a version in service gets a baseline automatically."""
    retraining_seconds: float = 15.0
    """Seconds between two checks of the slots."""
    warmup_seconds: float = 900.0
    """How long after Alertmanager's start an alert that it lacks may still be firing. Prometheus sends a firing alert
    each minute, but keeps one with a `for` pending for ten minutes after its own start."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads `CATWALK_HOME`, `CATWALK_MONITORING_PASSWORD`, `CATWALK_DEADMAN_*`, `CATWALK_HEARTBEAT_*`,
        `CATWALK_COURIER_RETRY_SECONDS`, `CATWALK_GRAFANA_*`, `CATWALK_STORE`, `CATWALK_RETRAINING_*`,
        `CATWALK_AUTOMATIC_BASELINE`, and the files of the receivers.

        Raises:
            ConfigError: a value or a file is invalid, or there is no password.
        """
        password = os.environ.get(access.PASSWORD_VARIABLE, "")
        if not password:
            raise ConfigError(f"{access.PASSWORD_VARIABLE} is not set; without it anyone could forge alerts")
        limits = Limits(
            variables.seconds("CATWALK_DEADMAN_SECONDS", Limits.silence_seconds),
            variables.seconds("CATWALK_DEADMAN_GRACE_SECONDS", Limits.grace_seconds),
        )
        return cls(
            file=home() / "courier" / "courier.db",
            password=password,
            limits=limits,
            channels=receivers.read(receivers.folder())[EVERYBODY],
            grafana=Grafana.from_environment(),
            heartbeat_url=_heartbeat_url(),
            heartbeat_seconds=variables.seconds("CATWALK_HEARTBEAT_SECONDS", cls.heartbeat_seconds),
            retry_seconds=variables.seconds("CATWALK_COURIER_RETRY_SECONDS", cls.retry_seconds),
            ledger=open_store() if os.environ.get(STORE) else None,
            baselines=variables.switch("CATWALK_AUTOMATIC_BASELINE", cls.baselines),
            retraining_seconds=variables.seconds("CATWALK_RETRAINING_SECONDS", cls.retraining_seconds),
            warmup_seconds=variables.seconds("CATWALK_RETRAINING_WARMUP_SECONDS", cls.warmup_seconds),
        )


def _of_ledger(settings: Settings, journal: Store) -> tuple[Retrainer | None, Baselines | None]:
    """Returns the threads that read and write the ledger; None for one that is not wanted."""
    if settings.ledger is None:
        return None, None
    annotates = settings.grafana is not None
    retrainer = Retrainer(journal, settings.ledger, settings.retraining_seconds, settings.warmup_seconds, annotates)
    return retrainer, Baselines(journal, settings.ledger, annotates) if settings.baselines else None


def _heartbeat_url() -> str:
    given = os.environ.get("CATWALK_HEARTBEAT_URL", "")
    try:
        return urls.checked(given) if given else ""
    except ValueError as error:
        raise ConfigError(f"CATWALK_HEARTBEAT_URL {error}") from error


class Service:
    """Everything except HTTP."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            ConfigError: the stored data can't be used.
        """
        self.store = Store(settings.file)
        self.store.forget(time.time() - KEPT_SECONDS)
        self.deadman = DeadMan(self.store, settings.limits, self._call_out)
        self.password = settings.password
        self._settings = settings
        self._ways = callout.ways(settings.channels)
        deliveries: dict[str, Any] = {
            name: lambda delivery, deliver=deliver: deliver(delivery.payload) for name, deliver in self._ways.items()
        }
        if settings.grafana:
            deliveries[GRAFANA] = Annotator(settings.grafana)
        self.metrics = Metrics(list(deliveries), self._gauges)
        self._couriers = [
            Courier(self.store, name, deliver, settings.retry_seconds, self._count)
            for name, deliver in deliveries.items()
        ]
        self._retrainer, self._baselines = _of_ledger(settings, self.store)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Starts the threads."""
        self.deadman.start()
        for courier in self._couriers:
            courier.start()
        if self._retrainer:
            self._retrainer.start()
        if self._baselines:
            self._baselines.start()
        if self._settings.heartbeat_url:
            threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Ends the threads; pending deliveries stay for the next start."""
        self._stopped.set()
        for courier in self._couriers:
            courier.stop()
        if self._retrainer:
            self._retrainer.stop()
        if self._baselines:
            self._baselines.stop()
        self.deadman.stop()

    def take(self, message: Message) -> None:
        """Stores a notification; it is on disk when this returns."""
        annotate = self._settings.grafana is not None
        fresh = self.store.add(message.alerts, time.time(), annotate, message.group)
        if any(alert.name in WATCHDOGS and alert.status == "firing" for alert in message.alerts):
            self.deadman.hear()
        new = {id(alert) for alert in fresh}
        for alert in message.alerts:
            self.metrics.count(catalogue.COURIER_NOTIFICATIONS, alert.status)
            kept = catalogue.COURIER_STORED if id(alert) in new else catalogue.COURIER_DUPLICATES
            self.metrics.count(kept, alert.status)
        self._wake()

    def test_callouts(self) -> dict[str, str]:
        """Makes test callouts through all channels at once; returns each channel's error, empty if it delivered."""
        content = callout.test_message(part_url("courier"))
        with ThreadPoolExecutor(max(1, len(self._ways))) as pool:
            return dict(zip(self._ways, pool.map(lambda way: self._test(way, content), self._ways), strict=True))

    def _test(self, way: str, content: Mapping[str, Any]) -> str:
        try:
            self._ways[way](content)
        except Exception as error:  # whatever it is, it is the result
            self._count(Outcome(way, delivered=False))
            return one_line(error)
        self._count(Outcome(way, delivered=True))
        return ""

    def page(self) -> str:
        """Returns the page of notifications."""
        try:
            firing = alertmanager.active_alerts(part_url("alertmanager"))
        except alertmanager.AlertmanagerError:
            firing = None
        deadman, history = self.deadman, episodes(self.store.told(SHOWN))
        return pages.index(firing, history, deadman.watch, deadman.state(), time.time(), public_url("exporter"))

    def to_dict(self, limit: int) -> dict[str, Any]:
        """Returns notifications and dead-man watch as plain values, for JSON."""
        watch = self.deadman.watch
        return {
            "deadman": {
                "state": self.deadman.state(),
                "silence_seconds": watch.silence,
                "heard": watch.heard,
                "calls_out_by": sorted(self._ways),
            },
            "notifications": [notification.to_dict() for notification in self.store.told(limit)],
        }

    def _gauges(self) -> Gauges:
        slots = self._retrainer.slots() if self._retrainer else {}
        return Gauges(self.deadman.watch.silence, self.deadman.state(), self.store.pending(), slots)

    def _call_out(self, event: Event, watch: Watch) -> Mapping[str, Mapping[str, Any]]:
        content = callout.message(event, watch, part_url("courier"))
        return dict.fromkeys(self._ways, content)

    def _count(self, outcome: Outcome) -> None:
        self.metrics.count(
            catalogue.COURIER_DELIVERIES, outcome.channel, "delivered" if outcome.delivered else "failed"
        )

    def _wake(self) -> None:
        for courier in self._couriers:
            courier.wake()
        if self._retrainer:
            self._retrainer.wake()

    def _beat(self) -> None:
        """Pings an external monitor as long as all is well: it can notice that this host is down."""
        failing = False
        while not self._stopped.is_set():
            pause = min(1.0, self._settings.heartbeat_seconds)
            if self.deadman.state() == "well":
                pause = self._settings.heartbeat_seconds
                try:
                    fetch_outside(urllib.request.Request(self._settings.heartbeat_url), TIMEOUT)
                    failing = False
                except (OSError, ValueError) as error:
                    if not failing:
                        log.warning("the heartbeat failed: %s", one_line(error))
                    failing = True
                self._count(Outcome(HEARTBEAT, not failing))
            self._stopped.wait(pause)
