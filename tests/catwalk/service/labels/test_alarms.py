"""What ServiceAccuracyLow promises, by simulation with the limits of the rules: the figures in docs/service.md."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import yaml

from catwalk.problems.intervals import wilson
from catwalk.service.labels.figures import WINDOWS
from stack.settings import PROJECT

TESTED = 0.9
DAYS, YEARS = 365, 200
BEFORE = max(WINDOWS.values())


def limit(name: str) -> float:
    rules = yaml.safe_load((PROJECT / "prometheus" / "rules" / "thresholds.yml").read_text())["groups"][0]["rules"]
    return float(next(rule["expr"] for rule in rules if rule["record"] == f"threshold:{name}")[len("vector(") : -1])


RATIO, FEWEST = limit("service_headline_ratio:max"), limit("service_labelled:min")
interval = cache(wilson)


def alarms(true: float, a_day: int, years: int) -> list[list[int]]:
    """Returns the days of each year on which it begins to fire, after four weeks as good as the test."""
    random = np.random.default_rng(a_day)
    accuracy = np.array([TESTED] * BEFORE + [true] * DAYS)
    hits = random.binomial(a_day, accuracy, (years, len(accuracy)))
    total = np.concatenate([np.zeros((years, 1), int), hits.cumsum(1)], axis=1)
    fires = np.zeros((years, DAYS + 1), bool)
    for days in WINDOWS.values():
        if days * a_day >= FEWEST:
            right = total[:, BEFORE:] - total[:, BEFORE - days : total.shape[1] - days]
            high = np.vectorize(lambda count, of=days * a_day: interval(int(count), of)[1])(right)
            fires |= (TESTED - high) / TESTED > RATIO
    return [[int(day) for day in np.flatnonzero(year[1:] & ~year[:-1])] for year in fires]


@pytest.mark.parametrize("a_day", [5, 20, 100, 1_000])
def test_a_model_as_good_as_its_test_raises_at_most_one_alarm_in_ten_years(a_day: int) -> None:
    assert sum(map(len, alarms(TESTED, a_day, YEARS))) / YEARS <= 0.1


@pytest.mark.parametrize(("a_day", "days"), [(5, 28), (20, 7), (100, 4)])
def test_one_that_has_lost_a_sixth_is_found_as_soon_as_is_said(a_day: int, days: int) -> None:
    first = [year[0] + 1 if year else DAYS for year in alarms(0.75, a_day, 50)]
    assert np.median(first) <= days
