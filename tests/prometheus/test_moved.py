"""No rule fails because a target has moved: its series of the last hours have another address and another job."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.prometheus.book import SCENARIOS, rules_of
from tests.prometheus.lossy import samples
from tests.prometheus.scenario import Expectation, Scenario, complaints

_EVALUATED = "vector(1)"
"""An expression that has a value, whatever becomes of the story: promtool reports each rule that fails on the way."""
_TARGET = re.compile(r'job="(\w+)", ?instance="[^"]+"')


def _moved(story: Scenario) -> Scenario:
    """The story, of which the first half was scraped from other addresses."""
    half = int(story.evaluations / 2)
    told: dict[str, str] = {}
    for name, values in story.series.items():
        each = samples(values)
        told[name] = " ".join([*["_"] * half, *each[half:]])
        if name != (before := _TARGET.sub(r'job="\1_before", instance="\1:0"', name)):
            told[before] = " ".join([*each[:half], "stale"])
    return replace(story, series=told, expect=(Expectation(story.last, _EVALUATED, samples={"{}": 1}),))


def _that_test_every_rule() -> list[Scenario]:
    """The shortest stories that, together, check all that any story checks."""
    found, seen = [], set[str]()
    for story in sorted(SCENARIOS, key=lambda story: story.evaluations):
        if not story.tested <= seen:
            found.append(story)
            seen |= story.tested
    return found


@pytest.mark.integration
def test_no_rule_fails_after_a_target_has_moved() -> None:
    assert not complaints((rules_of(story.tested), _moved(story)) for story in _that_test_every_rule())
