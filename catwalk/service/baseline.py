"""The service baseline: a version's reference, made of its own days in service as Prometheus has recorded them.

Traffic is seldom balanced as held-out examples are, so only a baseline can tell small shifts from usual ones: it has
the service's own shares of each bin, and by how much its days differ from each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from catwalk.clients import prometheus
from catwalk.errors import CatwalkError, ConfigError, DamagedError, PreconditionFailedError
from catwalk.ledger.models import watched
from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.ledger.runs import Run
from catwalk.service import reference as references
from catwalk.service import shift

FEWEST_DAYS = 2
"""A day's dispersion is measured against the others."""
LEAST_A_DAY = 200
"""Predictions on the median day. If there are fewer, the rules compute no figure for a day."""
_DAY, _HOUR = 86_400, 3_600
_HOURS = 24

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """What Prometheus has recorded of a version in service, by day in UTC."""

    days: list[str]
    """Days that were recorded completely, the oldest first."""
    counts: list[Counts]
    """The predictions of each feature of the reference, (days, bins)."""
    holes: list[str]
    """Days among them, or after them, of which hours are missing."""


@dataclass(frozen=True)
class Accepted:
    """A baseline that is stored."""

    record: ReferenceRecord
    holes: list[str]
    """Days that are left out because they were not recorded completely."""
    uncounted: list[str]
    """Features that the service has never counted; they keep the reference of the test."""
    replaced: ReferenceRecord | None
    """The baseline that this version had before."""


def accept(run: Run, days: int, floor: float, by: str, now: float) -> Accepted:
    """Makes the baseline of a version, and stores it with its run. It replaces the one that is there.

    Args:
        run: The run of the version that is in service.
        days: The number of full days in UTC, the last ones before `now`; days with a hole are skipped.
        floor: The smallest shift that matters.
        by: The person who accepts that the service was well on these days.
        now: Unix time.

    Raises:
        InputError: The floor is not valid.
        NotFoundError: The run has no reference, by whose bins the service counts.
        PrometheusError: Prometheus does not answer.
        ConfigError: Prometheus has too little, or other bins.
        CatwalkError: Someone else has accepted a baseline at the same time.
    """
    references.check_floor(floor)
    tested = references.of_run(run)
    names = watched.lineage(run.store, run.record.model)
    key = run.key(references.BASELINE)
    etag, before = run.store.etag(key), _before(run)
    found = recorded(tested, names, days, now)
    record = replace(made(tested, found, floor), by=by, created=now)
    try:
        run.store.put_record(key, record, if_match=etag, create=etag is None)
    except PreconditionFailedError as error:
        message = f"the baseline of run {run.run_id} has changed in the meantime, so this one is not stored"
        raise CatwalkError(f"{message}; `catwalk reference show {names[0]}` shows it") from error
    uncounted = [
        feature.name for feature, counts in zip(tested.features, found.counts, strict=True) if not _counted(counts)
    ]
    return Accepted(record, found.holes, uncounted, before)


def recorded(reference: ReferenceRecord, names: Sequence[str], wanted: int, now: float) -> Recorded:
    """Returns the last full days of a version in service, looked for in twice as many days.

    Args:
        reference: By whose bins the service counts.
        names: All names of the model: a service may count under any of them.
        wanted: The number of days.
        now: Unix time.

    Raises:
        PrometheusError: Prometheus does not answer.
        ConfigError: There are too few days, or their bins are not those of the reference.
    """
    midnight = int(now // _DAY) * _DAY
    days: list[str] = []
    counts: list[list[Counts]] = []
    holes: list[str] = []
    passed: list[str] = []  # holes, if the version was in service before
    for end in range(midnight, midnight - 2 * wanted * _DAY, -_DAY):
        day, found = f"{datetime.fromtimestamp(end - _DAY, UTC):%Y-%m-%d}", _day(reference, names, end)
        if found is None:
            passed.append(day)
            continue
        holes, passed = [*holes, *passed], []
        days.append(day)
        counts.append(found)
        if len(days) == wanted:
            by_feature = [np.asarray(each[::-1]) for each in zip(*counts, strict=True)]
            return Recorded(days[::-1], by_feature, holes[::-1])
    raise ConfigError(_too_few(reference, len(days), wanted))


def made(reference: ReferenceRecord, found: Recorded, floor: float) -> ReferenceRecord:
    """Returns the reference of a version's days in service, with the bins by which it was counted.

    Raises:
        ConfigError: The version makes too few predictions.
    """
    usual = float(np.median(np.max([counts.sum(1) for counts in found.counts], axis=0)))
    if usual < LEAST_A_DAY:
        message = f"version {reference.run_id} of {reference.model} makes {usual:.0f} predictions on the median day"
        raise ConfigError(f"{message}, and a baseline needs {LEAST_A_DAY}: with less traffic, only gross shifts show")
    pairs = zip(reference.features, found.counts, strict=True)
    features = [_feature(feature, counts, floor) for feature, counts in pairs]
    return replace(reference, origin="service", features=features, days=found.days)


def _feature(feature: FeatureReference, days: Counts, floor: float) -> FeatureReference:
    if not _counted(days):
        return feature
    *counts, missing, other = (round(total) for total in days.sum(0).tolist())  # increases are not quite whole
    return replace(feature, counts=counts, missing=missing, other=other, floor=floor, dispersion=shift.dispersion(days))


def _counted(days: Counts) -> bool:
    """Returns whether the service gives its monitor this input."""
    return bool(days.sum(0).round().any())


def _day(reference: ReferenceRecord, names: Sequence[str], end: int) -> list[Counts] | None:
    """Returns each feature's predictions by bin of the day that ends then, or None if an hour is missing."""
    models = "|".join(re.escape(name) for name in names)
    version = f"model=~{json.dumps(models)}, version={json.dumps(reference.run_id)}"
    query = f"sum by (side, feature, bin) (model:service_bin:increase1h{{{version}}})"
    series = prometheus.over(query, end - _DAY + _HOUR, end, _HOUR)
    found = {tuple(one.labels.get(name, "") for name in ("side", "feature", "bin")): one.samples for one in series}
    if not found:
        return None
    _check_bins(reference, set(found))
    if any(len(samples) < _HOURS for samples in found.values()):
        return None
    return [
        np.asarray([sum(found[feature.side, feature.name, name].values()) for name in feature.bins])
        for feature in reference.features
    ]


def _check_bins(reference: ReferenceRecord, found: set[tuple[str, ...]]) -> None:
    known = {(feature.side, feature.name, name) for feature in reference.features for name in feature.bins}
    if odd := sorted(known ^ found):
        side, feature, name = odd[0]
        where = "the reference alone" if odd[0] in known else "Prometheus alone"
        raise ConfigError(
            f"version {reference.run_id} of {reference.model} was counted by other bins than its reference has: {name} "
            f"of the {side} {feature} is in {where}; wait until one reference has counted all its days"
        )


def _too_few(reference: ReferenceRecord, found: int, wanted: int) -> str:
    message = (
        f"Prometheus has {found or 'no'} full {'day' if found == 1 else 'days'} (UTC) of version {reference.run_id}"
    )
    remedy = f"wait, or lower --days to {found}" if found >= FEWEST_DAYS else "wait"
    return f"{message} of {reference.model} within {2 * wanted}, and {wanted} are wanted: {remedy}"


def _before(run: Run) -> ReferenceRecord | None:
    with suppress(DamagedError):  # then it needs to be replaced
        return references.baseline_of(run)
    return None
