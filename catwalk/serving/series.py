"""A server's own series, besides those of its monitor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from catwalk.telemetry import catalogue


class ServerSeries(Collector):
    """Series of one server. Any thread may change them."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = Lock()
        self._codes: Counter[int] = Counter()
        self.checked = 0.0
        """Unix time at which the champion was last known; 0: never."""
        self.refused = ""
        """The run whose model could not be loaded; empty: none."""

    def answered(self, status: int) -> None:
        """Counts an answer to a request for predictions or with labels."""
        with self._lock:
            self._codes[status] += 1

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: registering must not count as a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            codes = dict(self._codes)
        answers = _family(CounterMetricFamily, catalogue.SERVER_ANSWERS)
        for status, count in sorted(({200: 0} | codes).items()):
            answers.add_metric([self._model, str(status)], count)
        checked = _family(GaugeMetricFamily, catalogue.SERVER_CHAMPION_CHECKED)
        checked.add_metric([self._model], self.checked)
        refused = _family(GaugeMetricFamily, catalogue.SERVER_MODEL_REFUSED)
        if self.refused:
            refused.add_metric([self._model, self.refused], 1)
        yield from (answers, checked, refused)


def _family(kind: type[CounterMetricFamily] | type[GaugeMetricFamily], metric: catalogue.Metric):  # type: ignore[no-untyped-def]
    return kind(metric.name, metric.help, labels=metric.labels)
