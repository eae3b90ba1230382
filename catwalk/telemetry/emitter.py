"""Sends a run's events to StatsD as they happen, and never stops or slows the run.

Methods that stages call never raise or wait for an answer: points that can't be sent are counted, the first loss is
logged, and :meth:`Emitter.resend` repeats a run's gauges later, over a connection.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache

from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import EpochRecord
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.observer import Observer, Silent
from catwalk.telemetry.points import Point, epoch_points, stage_points, test_points
from catwalk.telemetry.wire.address import Address
from catwalk.telemetry.wire.client import Route, TcpClient, UdpClient, on_wire, reason
from catwalk.telemetry.wire.labels import label_value

log = logging.getLogger(__name__)

VARIABLE = "CATWALK_STATSD"
RESEND_SECONDS = 10.0
"""The most time that resending a run's points may take in total."""
LINE_BYTES = 4_000
"""The longest name and tags that are sent: a longer line would end the TCP connection, and lose everything after it."""


def observer_from_environment(environment: Mapping[str, str] = os.environ) -> Observer:
    """Returns the observer for ``CATWALK_STATSD``; unset or empty turns telemetry off.

    Raises:
        ConfigError: the variable is not ``host:port``.
    """
    text = environment.get(VARIABLE, "").strip()
    return Emitter(Address.parse(text, VARIABLE)) if text else Silent()


@lru_cache(maxsize=4_096)
def tag(name: str, value: str) -> str:
    """Returns a label as an InfluxDB-style tag; nothing for an empty one, which would be an error to
    statsd_exporter.
    """
    return on_wire(f",{name}={label_value(value)}") if value else ""


def stat(metric: Metric, labels: Mapping[str, str], *, negative: bool = False) -> str:
    """Returns name and tags of a series: ``ml.epoch.loss,run_id=…,model=churn,split=train,epoch=3``.

    Args:
        metric: Its family.
        labels: Its label values by name.
        negative: Whether the value is the magnitude of a negative one.

    Raises:
        ValueError: they are too long to send.
    """
    wire = metric.wire_negative if negative else metric.wire
    text = wire + "".join([tag(name, labels[name]) for name in metric.labels])
    if len(text) > LINE_BYTES:
        raise ValueError(f"its labels have more than {LINE_BYTES:,} bytes")
    return text


def gauge(point: Point) -> tuple[str, float]:
    """Returns a point's name and tags, and its value, as a gauge carries them. NaN and infinity are legal.

    ``-0.4|g`` would mean "subtract 0.4", so a negative value is sent as its magnitude, under another name.

    Raises:
        ValueError: it is negative although its metric never is, or its labels are too long to send.
    """
    negative = point.value < 0
    if negative and not point.metric.signed:
        raise ValueError(f"a gauge cannot carry {point.value}")
    return stat(point.metric, point.labels, negative=negative), abs(point.value) or 0  # -0.0 also has the sign


class Emitter:
    """Observes through StatsD. Any thread may call it; it opens its socket at first use."""

    sends = True

    def __init__(self, address: Address) -> None:
        self._address = address
        self._route = Route(address, self._lost)
        self._lock = threading.RLock()
        self._dropped = 0
        self._silent_so_far = True

    def epoch_finished(self, run: RunRecord, record: EpochRecord, place: int | None = None) -> None:
        self._guarded(lambda: self._send(epoch_points(run, record, place)))

    def test_finished(self, run: RunRecord, record: EvaluationRecord) -> None:
        self._guarded(lambda: self._send(test_points(run, record)))

    def stage_finished(self, run: RunRecord, record: AttemptRecord) -> None:
        self._guarded(lambda: self._send(stage_points(run, record)))

    def store_operation(self, operation: str, seconds: float, failed: bool) -> None:
        labels = {"operation": operation}

        def fill(pipeline: UdpClient) -> None:
            pipeline.timing(stat(catalogue.STORE_OPERATION_DURATION, labels), seconds * 1_000)
            if failed:
                pipeline.incr(stat(catalogue.STORE_ERRORS, labels))

        self._guarded(lambda: self._transmit(1 + failed, fill))

    def resend(self, points: Sequence[Point]) -> int:
        """Repeats gauges over TCP, through which statsd_exporter confirms that it has read to the end.

        Returns:
            The points that arrived. The others are counted as dropped.
        """
        arrived = 0

        def work() -> None:
            nonlocal arrived
            arrived = self._stream(list(self._gauges(points)))

        self._guarded(work)
        return arrived

    def take_dropped(self) -> int:
        with self._lock:
            self._route.settle()
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _send(self, points: Iterable[Point]) -> None:
        """Sends points in as few datagrams as possible: many small ones overrun a busy receiver's buffer."""
        gauges = list(self._gauges(points))

        def fill(pipeline: UdpClient) -> None:
            for name, value in gauges:
                pipeline.gauge(name, value)

        self._transmit(len(gauges), fill)

    def count(self, amounts: Sequence[tuple[Metric, Mapping[str, str], int]]) -> None:
        """Adds to counters, all in one pipeline; 0 announces a counter, so that its first event counts as an
        increase.
        """

        def fill(pipeline: UdpClient) -> None:
            for metric, labels, amount in amounts:
                pipeline.incr(stat(metric, labels), amount)

        self._guarded(lambda: self._transmit(len(amounts), fill))

    def _gauges(self, points: Iterable[Point]) -> Iterator[tuple[str, float]]:
        """Yields name and value of each point that StatsD can carry."""
        for point in points:
            try:
                yield gauge(point)
            except (TypeError, ValueError) as error:
                self._lost(1, f"{point.metric.name}: {error}")

    def _transmit(self, lines: int, fill: Callable[[UdpClient], None]) -> None:
        """Sends what `fill` puts into a pipeline over UDP; counts the lines as lost if it can't send."""
        with self._lock:
            try:
                client = self._route.client()
            except OSError as error:
                self._lost(lines, reason(error))
                return
            with client.pipeline() as pipeline:
                fill(pipeline)

    def _stream(self, gauges: list[tuple[str, float]]) -> int:
        """Sends gauges over TCP, all or none; returns how many arrived, and counts the others."""
        try:
            with self._lock:
                found = self._route.found()
            with closing(TcpClient(found, self._address.port, RESEND_SECONDS)) as client:
                with client.pipeline() as pipeline:
                    for name, value in gauges:
                        pipeline.gauge(name, value)
                client.confirm()
            return len(gauges)
        except OSError as error:
            self._lost(len(gauges), reason(error))
            return 0

    def _guarded(self, work: Callable[[], None]) -> None:
        """The last line of defence: an error in telemetry stays in telemetry."""
        try:
            work()
        except Exception as error:
            self._lost(1, reason(error))

    def _lost(self, lines: int, why: str) -> None:
        with self._lock:
            self._dropped += lines
            first, self._silent_so_far = self._silent_so_far, False
        if first:
            log.warning("telemetry to %s: %s. Losses are counted; only this first one is logged", self._address, why)
