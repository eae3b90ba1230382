"""The series of all monitors of a process, as Prometheus scrapes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from threading import Lock
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from catwalk.errors import ConfigError
from catwalk.ledger.records.reference import Calibration, FeatureReference
from catwalk.service import memory, shift
from catwalk.service.counts import Counts, Estimated, Snapshot
from catwalk.service.log.lines import Tally
from catwalk.telemetry import catalogue

Shown = Callable[[], list[tuple[Counts, Tally]]]
Samples = Iterator[tuple[catalogue.Metric, tuple[str, ...], float]]
_SHAPES: dict[str, Callable[..., Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "info": GaugeMetricFamily,
}


class Exposition(Collector):
    """What one registry shows of all its monitors: each family once."""

    def __init__(self) -> None:
        self._models: dict[str, Shown] = {}
        self._allowed = memory.allowed()

    def add(self, model: str, shown: Shown) -> None:
        """Adds a model, whose versions and counts of the log are read at each scrape.

        Raises:
            ConfigError: it has a monitor already, and every series would be there twice.
        """
        if model in self._models:
            raise ConfigError(f"model {model} has a monitor in this registry already; use that one, or its swap(…)")
        self._models[model] = shown

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: registering must not count as a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        versions = [version for ask in self._models.values() for version in ask()]
        used, allowed = memory.used(), self._allowed
        families = {
            metric: _SHAPES[metric.kind](metric.name, metric.help, labels=metric.labels)
            for metric in catalogue.by_transport("service")
            if metric.kind in _SHAPES
        }
        durations = catalogue.SERVICE_DURATION
        histogram = HistogramMetricFamily(durations.name, durations.help, labels=durations.labels)
        for counts, tally in versions:
            now = counts.snapshot()
            for metric, labels, value in (*_samples(counts, now, used, allowed), *_of_log(_served(counts), tally)):
                families[metric].add_metric(labels, value)  # type: ignore[attr-defined]
            histogram.add_metric(_served(counts), _buckets(now.durations), now.seconds)
        yield from families.values()
        yield histogram


_EXPOSITIONS: WeakKeyDictionary[CollectorRegistry, Exposition] = WeakKeyDictionary()
_LOCK = Lock()


def exposition_of(registry: CollectorRegistry) -> Exposition:
    """Returns the exposition of this registry."""
    with _LOCK:
        if registry not in _EXPOSITIONS:
            _EXPOSITIONS[registry] = Exposition()
            registry.register(_EXPOSITIONS[registry])
        return _EXPOSITIONS[registry]


def _served(counts: Counts) -> tuple[str, str]:
    return counts.reference.model, counts.version


def _samples(counts: Counts, now: Snapshot, used: int | None, allowed: int | None) -> Samples:
    served, reference = _served(counts), counts.reference
    yield catalogue.SERVICE_INFO, (*served, reference.origin), 1
    yield catalogue.SERVICE_PREDICTIONS, served, now.predictions
    yield catalogue.SERVICE_ERRORS, served, now.errors
    yield catalogue.REFERENCE_LEVEL, served, shift.level(len(reference.features))
    yield catalogue.REFERENCE_LEFT_OUT, served, len(reference.left_out)
    if used is not None and allowed is not None:
        yield catalogue.SERVICE_MEMORY, served, used
        yield catalogue.SERVICE_MEMORY_LIMIT, served, allowed
    if reference.calibration is not None:
        yield from _of_estimate(served, reference.calibration, now.estimated)
    for feature, met in zip(reference.features, now.bins, strict=True):
        yield from _of_feature(served, feature, met)


def _of_estimate(served: tuple[str, str], known: Calibration, now: Estimated) -> Samples:
    yield catalogue.SERVICE_ESTIMATED, served, now.predictions
    yield catalogue.SERVICE_ESTIMATED_RIGHT, served, now.right
    yield catalogue.SERVICE_ESTIMATED_VARIANCE, served, now.variance
    yield catalogue.REFERENCE_ACCURACY, served, known.accuracy
    yield catalogue.REFERENCE_CONFIDENCE, served, known.confidence
    yield catalogue.REFERENCE_CALIBRATION_ERROR, served, known.error
    yield catalogue.REFERENCE_LABELLED, served, known.examples


def _of_log(served: tuple[str, str], tally: Tally) -> Samples:
    for outcome, number in vars(tally).items():
        yield catalogue.SERVICE_LOG, (*served, outcome), number


def _of_feature(served: tuple[str, str], feature: FeatureReference, met: Iterable[int]) -> Samples:
    labels = (*served, feature.side, feature.name)
    yield catalogue.REFERENCE_DISPERSION, labels, feature.dispersion
    yield catalogue.REFERENCE_FLOOR, labels, feature.floor
    for name, count, examples in zip(feature.bins, met, feature.examples, strict=True):
        yield catalogue.SERVICE_BIN, (*labels, name), count
        yield catalogue.REFERENCE_BIN, (*labels, name), examples


def _buckets(durations: Iterable[int]) -> list[tuple[str, float]]:
    bounds = [*(repr(bound) for bound in catalogue.SERVICE_SECONDS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(durations)), strict=True))
