"""The floor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ml.config import GateConfig
from ml.gate import floor_checks

CASES = [(0.8799, "failed"), (0.88, "passed"), (1.0, "passed"), (0.0, "failed")]


@pytest.mark.parametrize(("accuracy", "verdict"), CASES)
def test_the_floor_itself_passes_and_anything_below_fails(accuracy: float, verdict: str) -> None:
    evaluation: Any = SimpleNamespace(accuracy=accuracy)
    [check] = floor_checks(evaluation, GateConfig(accuracy_floor=0.88))
    assert check.verdict == verdict
    assert check.value == accuracy
    assert check.threshold == 0.88
    assert "floor of 88.00%" in check.sentence
