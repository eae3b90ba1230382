"""What a sweep tries: grids, random draws, and nonsense that is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from catwalk.errors import ConfigError
from catwalk.knobs import described, knobs
from catwalk.stages.sweeps.search import SearchConfig
from ml.fashion_mnist.config import RunConfig

BASE = {knob.name: knob.text_default for knob in knobs(RunConfig)}
SPACE = {"peak_learning_rate": [0.05, 0.1, 0.2], "dropout": [0.0, 0.2]}
SWEEP = "20261123T030000Z-7f3a90c1"


def test_a_grid_is_every_combination_in_order() -> None:
    search = SearchConfig({"dropout": [0.0, 0.2], "hidden": ["512,512", "64"]})
    assert search.plan(RunConfig, BASE, SWEEP) == [
        {"dropout": 0.0, "hidden": "512,512"},
        {"dropout": 0.0, "hidden": "64"},
        {"dropout": 0.2, "hidden": "512,512"},
        {"dropout": 0.2, "hidden": "64"},
    ]


def test_a_random_search_draws_within_its_ranges_and_repeats_for_a_seed() -> None:
    space = {
        "peak_learning_rate": {"low": 0.001, "high": 1.0, "log": True},
        "epochs": {"low": 1, "high": 3},
        "momentum": [0.8, 0.9],
    }
    search = SearchConfig(space, "random", trials=100)
    trials = search.plan(RunConfig, BASE, SWEEP)
    assert trials == search.plan(RunConfig, BASE, SWEEP)
    assert trials != search.plan(RunConfig, BASE, "another sweep")
    assert len(trials) == 100
    rates = [trial["peak_learning_rate"] for trial in trials]
    assert min(rates) >= 0.001 and max(rates) <= 1.0
    assert 20 <= sum(rate < 0.03 for rate in rates) <= 80, "half of the logarithmic range lies below 0.03"
    assert {trial["epochs"] for trial in trials} == {1, 2, 3}
    assert all(isinstance(trial["epochs"], int) for trial in trials)
    assert {trial["momentum"] for trial in trials} == {0.8, 0.9}


def test_the_search_seed_alone_decides_if_it_is_set() -> None:
    search = SearchConfig({"dropout": {"low": 0.0, "high": 0.5}}, "random", trials=3, search_seed=0)
    assert search.plan(RunConfig, BASE, SWEEP) == search.plan(RunConfig, BASE, "another sweep")


def test_random_trials_differ_and_end_with_the_combinations() -> None:
    trials = SearchConfig({"dropout": [0.0, 0.1, 0.2]}, "random", trials=8).plan(RunConfig, BASE, SWEEP)
    assert sorted(trial["dropout"] for trial in trials) == [0.0, 0.1, 0.2]


def test_a_grid_of_seeds_trains_one_recipe_several_times() -> None:
    trials = SearchConfig({"seed": [0, 1, 2]}).plan(RunConfig, BASE, SWEEP)
    assert [RunConfig.from_flat({**BASE, **trial}).training.seed for trial in trials] == [0, 1, 2]


def test_a_trial_reads_as_one_line() -> None:
    assert described({"dropout": 0.2, "hidden": [64, 32], "seed": None}) == "dropout=0.2 hidden=64,32 seed=derived"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {}}, "space must name at least one knob"),
        ({"space": {"depth": [1]}}, "space has an unknown knob 'depth'"),
        ({"space": {"margin": [0.1]}}, "margin can't vary within a sweep: it belongs to the gate"),
        ({"space": {"split_seed": [1, 2]}}, "split_seed can't vary within a sweep: trials are compared on one"),
        ({"space": {"dropout": []}}, "space has no values for dropout"),
        ({"space": {"dropout": [0.1, 0.1]}}, "space has a value of dropout twice"),
        ({"space": {"dropout": 0.1}}, "space must give dropout a list of values"),
        ({"space": {"epochs": ["many"]}}, "epochs must be of type int, not 'many'"),
        ({"space": {"dropout": {"low": 0, "high": 0.5}}}, "a grid needs a list of values for dropout"),
        ({"space": {"dropout": {"low": 0.5, "high": 0.1}}, "search": "random"}, "dropout: low must be below high"),
        (
            {"space": {"dropout": {"low": 0, "high": 0.1, "log": True}}, "search": "random"},
            "dropout: low must be below high and above 0",
        ),
        ({"space": {"dropout": {"low": 0, "hihg": 0.1}}, "search": "random"}, "space must give dropout a list"),
        (
            {"space": {"hidden": {"low": 1, "high": 2}}, "search": "random"},
            "hidden is not a number, so it can't have a range",
        ),
        ({"search": "bayes"}, "search must be grid or random, not 'bayes'"),
        ({"trials": 0}, "trials must be an integer from 1 to 200, not 0"),
        ({"search_seed": -1}, "search_seed must be an integer"),
        ({"trials": 5}, "the grid has 6 trials, but trials is 5: raise it, or use search=random"),
    ],
)
def test_nonsense_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SearchConfig(**{"space": SPACE, **settings}).plan(RunConfig, BASE, SWEEP)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_that_no_run_could_have_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"dropout must be at least 0.0 and at most 0.9, not 2.0"):
        SearchConfig({"dropout": [0.1, 2.0]}).plan(RunConfig, BASE, SWEEP)
