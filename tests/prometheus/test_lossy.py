"""Every alert's stories end the same when scrapes are lost, and no alert loses its owner."""

from __future__ import annotations

import pytest

from tests.prometheus.book import SCENARIOS, complaint
from tests.prometheus.lossy import Loses, every, lossy
from tests.prometheus.scenario import Scenario, constant, scenario, series
from tests.prometheus.twins import doubled


def _of_two(story: Scenario) -> Scenario:
    """The story of two models, of which the second has an owner, unless a check is of all models together."""
    both = doubled(story)
    return both if len(both.expect) == len(story.expect) else story


STORIES = [_of_two(story.of_alerts) for story in SCENARIOS if story.interval == "10s"]
"""Longer intervals stand for long times, and no scrape."""


@pytest.mark.integration
@pytest.mark.parametrize("loses", [every(5), every(9, 3)], ids=["one in five", "three in a row, of nine"])
def test_lost_scrapes_change_no_story(loses: Loses) -> None:
    assert not complaint(lossy(story, loses) for story in STORIES if story.expect)


def test_what_is_lost() -> None:
    counter, gauge = series("airflow_a_total"), series("airflow_b")
    story = scenario("", {counter: "0+2x6", gauge: "1x3 2x2", series("catwalk_store_up"): constant(1, 6)})
    found = lossy(story, every(2)).series
    assert found[counter] == "0 stale 4 6 8 stale 12"
    assert found[gauge] == "1 stale 1 1 2 stale 2"
    assert found['up{job="statsd_exporter", instance="statsd_exporter:1"}'] == "1 0 1 1 1 0 1"
    assert found[series("catwalk_store_up")] == "1 stale 1 stale 1 stale 1"
