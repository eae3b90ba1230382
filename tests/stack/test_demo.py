"""The demonstration decides as the README shows it, because of its seeds and not by chance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from ml.fashion_mnist.config import RunConfig
from stack import closed_loop
from stack.demo import CHANGE, FEED, RECIPES, UPRIGHT_DAY
from stack.settings import PROJECT

README = (PROJECT / "README.md").read_text()
LEAST_MARGIN = 0.005
"""By how much the small recipe's accuracy exceeds the floor: five times the difference between seeds."""


@dataclass(frozen=True)
class Printed:
    """The README's output for one run."""

    settings: dict[str, int]
    accuracy: float
    decision: str


def printed() -> list[Printed]:
    """Results of the runs in the README, in their order."""
    [output] = [block for block in README.split("```") if "\ndecision 1 " in block]
    runs = re.findall(r"^(\S+) +(\d+) +(\d+) +(\d+)  \w{12}$", output, re.MULTILINE)
    names = ("train_examples", "epochs", "seed")
    found = []
    for number, (run_id, *values) in enumerate(runs, 1):
        [accuracy] = re.findall(rf"^{run_id} accuracy ([\d.]+)%", output, re.MULTILINE)
        [decision] = re.findall(rf"^decision {number}  (\w+): ", output, re.MULTILINE)
        found.append(Printed(dict(zip(names, map(int, values), strict=True)), float(accuracy) / 100, decision))
    return found


def configured(knobs: dict[str, Any]) -> dict[str, int | None]:
    """Returns the same settings as a recipe passes them to a run."""
    config = RunConfig.from_flat(knobs)
    return {
        "train_examples": config.data.train_examples,
        "epochs": config.training.epochs,
        "seed": config.training.seed,
    }


@pytest.mark.parametrize("number", [0, 1])
def test_the_readme_prints_what_the_recipe_trains(number: int) -> None:
    assert configured(RECIPES[number][1]) == printed()[number].settings


def test_the_documentation_prints_the_loop() -> None:
    page = (PROJECT / "docs" / "retraining.md").read_text()
    [output] = [block for block in page.split("```") if "\nchampion " in block]
    model = RunConfig.from_flat({**FEED, "as_of": UPRIGHT_DAY}).model
    moments = [float(seconds) for seconds in re.findall(r"^ *([\d.]+) s  ", output, re.MULTILINE)]
    assert moments == sorted(moments) and moments[0] == 0
    for said in (CHANGE, f"{closed_loop.ALERT} is firing", f"catwalk__{model}__e1", "Ship: ", " and 0 failed"):
        assert said in output


def test_both_ship_and_not_by_chance() -> None:
    small, default = printed()
    assert (small.decision, default.decision) == ("Ship", "Ship")
    floor = RunConfig.from_flat(RECIPES[0][1]).gate.accuracy_floor
    assert floor + LEAST_MARGIN < small.accuracy < default.accuracy - LEAST_MARGIN
