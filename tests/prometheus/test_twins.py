"""Two models in one Prometheus: no rule mistakes one for the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.prometheus.book import SCENARIOS, complaint
from tests.prometheus.scenario import Scenario
from tests.prometheus.twins import beside, concerns_a_model, doubled, sound_model

SOUND = sound_model()


@pytest.mark.integration
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    "told", [doubled, lambda story: beside(story, SOUND)], ids=["of both models", "beside a sound one"]
)
def test_every_rule_keeps_two_models_apart(told: Callable[[Scenario], Scenario]) -> None:
    stories = [story for each in filter(concerns_a_model, SCENARIOS) if (story := told(each)).expect]
    assert not complaint(stories)
