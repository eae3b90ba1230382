"""Families of models in service, from the labels of their predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from datetime import UTC, datetime, timedelta

from catwalk.ledger.records.realised import RealisedRecord, Score
from catwalk.ledger.records.values import is_finite
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk_exporter.snapshot import Snapshot

SHOWN_DAYS = 4 * 7
MOST_VERSIONS = 5
"""The most versions of a model that are exported, those that served last: each has up to a hundred series."""

Row = tuple[Metric, float, tuple[str, ...]]


def realised(snapshot: Snapshot, retired: Set[str], now: float) -> Iterator[Row]:
    """Yields the rows of all models in use.

    Args:
        snapshot: The snapshot of the ledger.
        retired: Models that are not in use.
        now: The Unix time.
    """
    first = f"{datetime.fromtimestamp(now, UTC) - timedelta(days=SHOWN_DAYS - 1):%Y-%m-%d}"
    for record in snapshot.realised:
        if record.model not in retired:
            yield from _model(record, first)


def _model(record: RealisedRecord, first: str) -> Iterator[Row]:
    days = [day for day in record.days if day.day >= first]
    shown = list(dict.fromkeys(day.version for day in reversed(days)))[:MOST_VERSIONS]
    for outcome, number in record.labels.items():
        yield catalogue.LABELS, number, (record.model, outcome)
    if is_finite(record.received):
        yield catalogue.LABELS_LAST, record.received, (record.model,)
    for version in shown:
        served = record.model, version
        totals: Counter[str] = Counter()
        for day in days:
            if day.version == version:
                totals.update(served=day.served, logged=day.logged, sampled_out=day.sampled_out, dropped=day.dropped)
                totals.update(lost=day.lost, labelled=day.score.labelled)
                yield from _score(catalogue.REALISED_DAY, day.score, (*served, record.metric, day.day))
        for outcome, number in totals.items():
            yield catalogue.LOGGED_PREDICTIONS, number, (*served, outcome)
        for window, score in record.windows.get(version, {}).items():
            yield catalogue.REALISED_PREDICTIONS, score.labelled, (*served, window)
            yield from _score(catalogue.REALISED_METRIC, score, (*served, record.metric, window))


def _score(metric: Metric, score: Score, labels: tuple[str, ...]) -> Iterator[Row]:
    for bound, value in (("value", score.value), ("low", score.low), ("high", score.high)):
        if is_finite(value):
            yield metric, value, (*labels, bound)
