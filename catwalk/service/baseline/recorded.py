"""What Prometheus has recorded of a version in service: its predictions by bin, and the alerts of its model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from catwalk.clients import prometheus
from catwalk.errors import ConfigError
from catwalk.ledger.records.reference import ReferenceRecord

DAY = 86_400
"""In seconds."""
FEWEST_DAYS = 2
"""A day's dispersion is measured against the others."""
_HOUR = 3_600
_HOURS = 24

Counts = NDArray[np.float64]


class UnfitError(ConfigError):
    """No baseline can be made of what was recorded on these days, however long one waits."""


@dataclass(frozen=True)
class Recorded:
    """What Prometheus has recorded of a version in service, by day in UTC."""

    days: list[str]
    """Days that were recorded completely, the oldest first."""
    counts: list[Counts]
    """The predictions of each feature of the reference, (days, bins)."""
    holes: list[str]
    """Days among them, or after them, of which hours are missing."""


def latest(reference: ReferenceRecord, names: Sequence[str], wanted: int, now: float) -> Recorded:
    """Returns the last full days of a version in service, looked for in twice as many days.

    Args:
        reference: By whose bins the service counts.
        names: All names of the model: a service may count under any of them.
        wanted: The number of days.
        now: Unix time.

    Raises:
        PrometheusError: Prometheus does not answer.
        UnfitError: Their bins are not those of the reference.
        ConfigError: There are too few days.
    """
    midnight = midnight_before(now)
    found = _full(reference, names, range(midnight, midnight - 2 * wanted * DAY, -DAY), wanted)
    if len(found.days) < wanted:
        raise ConfigError(_too_few(reference, len(found.days), wanted))
    return found


def first(reference: ReferenceRecord, names: Sequence[str], wanted: int, begin: float, now: float) -> Recorded | None:
    """Returns the first full days of a version in service, or None if there are too few yet.

    Args:
        reference: By whose bins the service counts.
        names: All names of the model: a service may count under any of them.
        wanted: The number of days.
        begin: The Unix time at which the first of them may begin.
        now: Unix time.

    Raises:
        PrometheusError: Prometheus does not answer.
        UnfitError: Their bins are not those of the reference.
    """
    first_end, midnight = midnight_from(begin) + DAY, midnight_before(now)
    if midnight - first_end < (wanted - 1) * DAY:
        return None
    # A full day has a sample at its end, so one query tells which days to read.
    query = f"count(model:service_bin:increase1h{{{_version(reference, names)}}})"
    ends = sorted(int(end) for one in prometheus.over(query, first_end, midnight, DAY) for end in one.samples)
    found = _full(reference, names, ends, wanted) if len(ends) >= wanted else None
    return found if found and len(found.days) == wanted else None


def of_model(names: Sequence[str]) -> str:
    """Returns the matcher of a model's series, under any of its names."""
    return f"model=~{json.dumps('|'.join(re.escape(name) for name in names))}"


def midnight_before(moment: float) -> int:
    """Returns the last midnight in UTC that is not after a Unix time."""
    return math.floor(moment / DAY) * DAY


def midnight_from(moment: float) -> int:
    """Returns the first midnight in UTC that is not before a Unix time."""
    return math.ceil(moment / DAY) * DAY


def day_before(end: float) -> str:
    """Returns the date of the day that ends at a Unix time."""
    return f"{datetime.fromtimestamp(end - DAY, UTC):%Y-%m-%d}"


def day_after(day: str) -> str:
    """Returns the date of the next day."""
    return f"{date.fromisoformat(day) + timedelta(days=1):%Y-%m-%d}"


def _full(reference: ReferenceRecord, names: Sequence[str], ends: Iterable[int], wanted: int) -> Recorded:
    """Returns the first full ones of some days, in the order in which their ends are given, at most the wanted ones."""
    full: dict[str, list[Counts]] = {}
    holes: list[str] = []
    passed: list[str] = []  # holes, if there is a full day beyond them
    for end in ends:
        day, found = day_before(end), _day(reference, names, end)
        if found is None:
            passed.append(day)
            continue
        holes, passed = [*holes, *passed], []
        full[day] = found
        if len(full) == wanted:
            break
    days = sorted(full)
    by_feature = [np.asarray(each) for each in zip(*(full[day] for day in days), strict=True)]
    return Recorded(days, by_feature, sorted(holes))


def _day(reference: ReferenceRecord, names: Sequence[str], end: int) -> list[Counts] | None:
    """Returns each feature's predictions by bin of the day that ends then, or None if an hour is missing."""
    query = f"sum by (side, feature, bin) (model:service_bin:increase1h{{{_version(reference, names)}}})"
    series = prometheus.over(query, end - DAY + _HOUR, end, _HOUR)
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
        raise UnfitError(
            f"version {reference.run_id} of {reference.model} was counted by other bins than its reference has: {name} "
            f"of the {side} {feature} is in {where}; wait until one reference has counted all its days"
        )


def _version(reference: ReferenceRecord, names: Sequence[str]) -> str:
    return f"{of_model(names)}, version={json.dumps(reference.run_id)}"


def _too_few(reference: ReferenceRecord, found: int, wanted: int) -> str:
    message = (
        f"Prometheus has {found or 'no'} full {'day' if found == 1 else 'days'} (UTC) of version {reference.run_id}"
    )
    remedy = f"wait, or lower --days to {found}" if found >= FEWEST_DAYS else "wait"
    return f"{message} of {reference.model} within {2 * wanted}, and {wanted} are wanted: {remedy}"
