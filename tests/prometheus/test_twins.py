"""Several models in one Prometheus: no rule mistakes one for another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.prometheus.book import SCENARIOS, complaint
from tests.prometheus.scenario import Scenario
from tests.prometheus.twins import beside, concerns_a_model, doubled, of_twin, sound_model

STORIES = [doubled(story) for story in SCENARIOS if concerns_a_model(story)]
SOUND = {of_twin(name): values for name, values in sound_model().items()}
"""A third model: the second one of each story has the name that this one would have."""


def _of_records(story: Scenario) -> Scenario:
    return replace(story, expect=tuple(check for check in story.expect if check.alerts is None))


@pytest.mark.integration
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    "stories",
    [[beside(story, SOUND) for story in STORIES], [_of_records(story) for story in STORIES]],
    ids=["alerts of both models, beside a sound one", "records of both models"],
)
def test_every_rule_keeps_models_apart(stories: list[Scenario]) -> None:
    assert not complaint(story for story in stories if story.expect)
