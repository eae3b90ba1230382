"""What the pipeline dashboard calls usual, whatever range is looked at."""

from __future__ import annotations

import pytest

from grafana.dashboards.pipeline import STAGE_RATIO, STAGE_SLOW, STAGE_USUAL
from tests.prometheus.book import complaint
from tests.prometheus.scenario import Scenario, has, series

pytestmark = pytest.mark.integration
DAYS = 24 * 12
"""A day in steps of five minutes."""
RECORDED = 'run:scheduled_stage_duration_seconds:final{{model="mlp",run_id="{0}",stage="train"}}'
NEWEST = {
    series("ml_stage_duration_seconds", model="mlp", run_id="new", stage="train"): f"_x{20 * DAYS} 300x12",
    series("catwalk_run_started_timestamp_seconds", model="mlp", run_id="new"): f"_x{20 * DAYS} 1x12",
}
NIGHTS = {RECORDED.format("first"): "100x12", RECORDED.format("second"): "_x144 200x12"}


def expression(query: str) -> str:
    """As Grafana asks it, of the newest run and a range of a day."""
    return query.replace("$model", "mlp").replace("$recent", "new").replace("$__range", "1d")


@pytest.mark.parametrize(
    ("told", "usual", "slow", "ratio"), [({**NIGHTS, **NEWEST}, 150.0, 195.0, 2.0), (NEWEST, 300.0, 300.0, 1.0)]
)
def test_what_is_usual_lies_before_the_range_too(told: dict[str, str], usual: float, slow: float, ratio: float) -> None:
    wanted = {STAGE_USUAL: usual, STAGE_SLOW: slow, STAGE_RATIO: ratio}
    expect = tuple(
        has(expression(query), f"{20 * 24 * 60 + 30}m", {'{stage="train"}': value}) for query, value in wanted.items()
    )
    recorded = ("model:stage_duration_seconds:median30d", "model:stage_duration_seconds:p95_30d")
    assert not complaint([Scenario("what is usual", told, expect, "5m")], beside=recorded)
