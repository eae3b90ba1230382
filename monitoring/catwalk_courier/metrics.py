"""The courier's metrics for Prometheus: its families of the catalogue."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as PrometheusFamily
from prometheus_client.registry import Collector

from catwalk.ledger.records.retraining import REFUSALS, SlotRecord
from catwalk.ledger.records.retraining import STATES as RETRAINING_STATES
from catwalk.retraining.transitions import budget_left
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk_courier.deadman import STATES, State

Samples = dict[tuple[Metric, tuple[str, ...]], float]
HEARTBEAT = "heartbeat"
"""The channel of pings to an external monitor."""


@dataclass(frozen=True)
class Gauges:
    """The state at the time of a scrape."""

    silence: float
    state: State
    pending: Mapping[str, int]
    """The number of pending deliveries, by channel."""
    slots: Mapping[str, SlotRecord] = field(default_factory=dict)
    """The state of retraining on request, by model."""


class Metrics(Collector):
    """Counts; safe to use from any thread."""

    def __init__(self, channels: list[str], gauges: Callable[[], Gauges]) -> None:
        """
        Args:
            channels: The courier's channels; their counters exist from the start, at 0.
            gauges: Called at each scrape.
        """
        self._gauges, self._lock = gauges, threading.Lock()
        self._channels = channels
        self._counts: Counter[tuple[Metric, tuple[str, ...]]] = Counter({(catalogue.COURIER_REFUSED, ()): 0})
        for metric in (catalogue.COURIER_NOTIFICATIONS, catalogue.COURIER_STORED, catalogue.COURIER_DUPLICATES):
            for status in ("firing", "resolved"):
                self._counts[metric, (status,)] = 0
        for channel in (*channels, HEARTBEAT):
            for outcome in ("delivered", "failed"):
                self._counts[catalogue.COURIER_DELIVERIES, (channel, outcome)] = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # its start time, for an alert on targets that restart repeatedly

    def count(self, metric: Metric, *labels: str) -> None:
        """Increments a counter."""
        with self._lock:
            self._counts[metric, labels] += 1

    def render(self) -> bytes:
        """Returns the exposition."""
        return generate_latest(self._registry)

    def describe(self) -> list[PrometheusFamily]:
        """Returns nothing: registering this collector must not ask for values yet."""
        return []

    def collect(self) -> Iterator[PrometheusFamily]:
        gauges = self._gauges()
        with self._lock:
            samples: Samples = dict(self._counts)
        samples[catalogue.COURIER_WATCHDOG_SILENCE, ()] = gauges.silence
        for state in STATES:
            samples[catalogue.COURIER_DEADMAN, (state,)] = float(state == gauges.state)
        for channel in {*self._channels, *gauges.pending}:
            samples[catalogue.COURIER_PENDING, (channel,)] = gauges.pending.get(channel, 0)
        for slot in gauges.slots.values():
            samples |= _of_retraining(slot)
        for metric in catalogue.by_transport("courier"):
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for (counted, labels), value in samples.items():
                if counted is metric:
                    family.add_metric(labels, value)
            yield family


def _of_retraining(slot: SlotRecord) -> Samples:
    model = slot.model
    return {
        **{(catalogue.RETRAINING_STATE, (model, state)): float(state == slot.state) for state in RETRAINING_STATES},
        **{(catalogue.RETRAINING_REFUSALS, (model, name)): slot.refusals.get(name, 0) for name in REFUSALS},
        (catalogue.RETRAINING_WAITING, (model,)): float(bool(slot.waiting)),
        (catalogue.RETRAINING_BUDGET, (model,)): budget_left(slot, time.time()),
        (catalogue.RETRAINING_STRIKES, (model,)): slot.strikes,
    }
