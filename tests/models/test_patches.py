"""What Catwalk needs in a program: a few more statements, and no other change."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from tests.models.patch import added

MODELS = Path(__file__).parent
STATEMENTS = {"churn": 7, "demand": 5, "steps": 6, "tickets": 7}
"""Model → number of Catwalk's statements."""
PROGRAM = """
def main():
    first()
    for item in items:
        second(item)
    third()
"""


@pytest.mark.parametrize("model", STATEMENTS)
def test_a_model_is_watched_with_at_most_ten_more_statements_and_no_other_change(model: str) -> None:
    plain, tracked = ((MODELS / model / f"{name}.py").read_text() for name in ("plain", "tracked"))
    assert "catwalk" not in plain.lower() and "import catwalk" in tracked
    assert added(plain, tracked) == STATEMENTS[model] <= 10


def test_no_other_model_is_left_out() -> None:
    assert {path.parent.name for path in MODELS.glob("*/plain.py")} == set(STATEMENTS)


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [
        ("first()", "first()", 0),
        ("first()", "zeroth()\n    first()", 1),
        ("second(item)", "second(item)\n        log(item)", 1),
        ("second(item)", "if item:\n            log(item)\n        second(item)", 2),
        ("third()", "with run():\n        third()\n        log()", 2),
        ("first()", "other()", math.inf),
        ("    third()\n", "", math.inf),
        ("in items", "in log(items)", math.inf),
        ("third()", "if run:\n        third()", math.inf),
        ("second(item)", "second(item)\n    else:\n        log()", 1),
    ],
)
def test_statements_are_counted(old: str, new: str, more: float) -> None:
    assert PROGRAM.count(old) == 1
    changed = PROGRAM.replace(old, new)
    ast.parse(changed)
    assert added(PROGRAM, changed) == more
