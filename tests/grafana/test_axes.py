"""Where the axes of charts end, as Prometheus evaluates it: a run far worse than the others must not flatten all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from grafana.queries import far_above, far_off, far_off_goal
from tests.prometheus.scenario import has, promtool, scenario, write

pytestmark = pytest.mark.integration

USUAL = [0.89, 0.9, 0.91, 0.9, 0.9, 0.89, 0.91]
GOAL = 'catwalk_metric_info{model="mlp", metric="auc", goal="%s"}'


def ends(folder: Path, asked: str, values: Sequence[float], expected: dict[str, float], **others: float) -> None:
    """Checks which settings the axis has with these values, a run each, and with other series by their names."""
    told = {f'value{{run="{number}"}}': f"{value}x3" for number, value in enumerate(values)}
    told |= {name: f"{value}x3" for name, value in others.items()}
    wanted = {f'{{end="{end}"}}': value for end, value in expected.items()}
    assert promtool(write(folder, [], [scenario("an axis", told, has(asked, "20s", wanted))])) == ""


def test_a_value_far_below_the_others_is_beyond_the_axis(tmp_path: Path) -> None:
    ends(tmp_path, far_off("value"), [*USUAL, 0.1], {"min": 0.8525})


@pytest.mark.parametrize("values", [USUAL, [*USUAL, 0.99], [0.9, 0.9, 0.91, 0.1], [0.77, *USUAL, 0.83, 0.86], []])
def test_no_other_value_is(tmp_path: Path, values: list[float]) -> None:
    """Not the best, none of few, and not the first epochs of a run that learns."""
    ends(tmp_path, far_off("value"), values, {})


def test_a_loss_is_far_worse_above(tmp_path: Path) -> None:
    ends(tmp_path, far_off("value", "minimize"), [1, 1, 1, 2, 2, 2, 2, 1, 5e14], {"max": 5})
    ends(tmp_path, far_off("value", "minimize"), [1, 1, 1, 2, 2, 2, 2, 1, 0], {})


def test_a_loss_that_is_no_number_counts_for_nothing(tmp_path: Path) -> None:
    numbers = "value / (value > bool 0)"  # 0 / 0 is none
    ends(tmp_path, far_off(numbers, "minimize"), [*[1] * 4, *[2] * 4, *[0] * 9], {})
    ends(tmp_path, far_off(numbers, "minimize"), [*[1] * 4, *[2] * 4, 5e307, *[0] * 9], {"max": 5})


def test_other_lines_stay_in_sight(tmp_path: Path) -> None:
    ends(tmp_path, far_off("value", beside="champion"), [*USUAL, 0.1], {"min": 0.8}, champion=0.8)
    ends(tmp_path, far_off("value", "minimize", "champion"), [*[1] * 4, *[2] * 4, 99], {"max": 7}, champion=7)
    asked = far_off("value", beside="champion")
    ends(tmp_path, asked, [*USUAL, 0.1], {"min": 0.8525}, champion=0.89)
    ends(tmp_path, asked, [*USUAL, 0.1], {"min": 0.8525})


@pytest.mark.parametrize(("goal", "expected"), [("maximize", {"min": 0.8525}), ("minimize", {}), ("", {})])
def test_what_is_worse_depends_on_the_goal(tmp_path: Path, goal: str, expected: dict[str, float]) -> None:
    asked = far_off_goal("value").replace("$model", "mlp").replace("$metric", "auc")
    ends(tmp_path, asked, [*USUAL, 0.1], expected, **({GOAL % goal: 1} if goal else {}))


def test_a_run_is_compared_with_one_that_did_not_diverge(tmp_path: Path) -> None:
    asked = far_above("value", "champion")
    ends(tmp_path, asked, [0.5, 1, 0.2], {}, champion=0.5)
    ends(tmp_path, asked, [0.5, 5e14, 0.2], {"max": 1}, champion=0.5)
    ends(tmp_path, asked, [10, 5e14], {"max": 12}, champion=0.5)
    ends(tmp_path, asked, [0.5, 5e14], {})
