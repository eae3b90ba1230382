"""Selecting, sorting and grouping runs."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from catwalk.cli.tables.run_table import Condition as AnyCondition
from catwalk.cli.tables.run_table import Keys, Row, as_csv, keys_of, ordered, recipes, row
from catwalk.errors import ConfigError
from tests.support.ledgers import summary

NOW = 1_800_000_000.0
LATER = summary(parameters={**summary().parameters, "batch_size": 256, "accuracy_floor": 0.5})
KEYS: Keys = keys_of([summary(), LATER])


def rows(*accuracies: float | None, **changes: Any) -> list[Row]:
    """A run for each accuracy, oldest first."""
    return [
        row(summary(f"2026112{number}T030000Z-0000000{number}", test_accuracy=accuracy, **changes), NOW, 600, KEYS)
        for number, accuracy in enumerate(accuracies)
    ]


def Condition(key: str, operator: str, value: str) -> AnyCondition:
    return AnyCondition(key, operator, value, KEYS)


def chosen(of: list[Row], *conditions: AnyCondition) -> list[float | None]:
    return [entry["test_accuracy"] for entry in of if all(condition.holds(entry) for condition in conditions)]


def test_a_row_has_every_key_in_plain_values() -> None:
    [entry] = rows(0.9)
    assert tuple(entry) == tuple(KEYS)
    assert (entry["hidden"], entry["seed"], entry["epochs"]) == ("512,512", 7, 18)
    assert entry["batch_size"] is None  # a run that is older than that knob


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [(">=", "0.9", [0.9, 0.95]), ("<", "0.9", [0.8]), ("=", "0.90", [0.9]), ("!=", "0.9", [0.8, 0.95, None])],
)
def test_numbers_compare_as_numbers(operator: str, value: str, expected: list[float | None]) -> None:
    assert chosen(rows(0.8, 0.9, 0.95, None), Condition("test_accuracy", operator, value)) == expected


def test_text_compares_as_text_and_conditions_add_up() -> None:
    found = rows(0.8, 0.9, state="failed")
    assert chosen(found, Condition("state", "=", "failed"), Condition("run_id", "~", "20261121")) == [0.9]
    assert chosen(found, Condition("state", "!=", "failed")) == []


def test_runs_are_found_by_the_day_of_their_data() -> None:
    found = [*rows(0.8, as_of="2026-11-24"), *rows(0.9, as_of="2026-11-25"), *rows(0.7)]
    assert chosen(found, Condition("as_of", ">=", "2026-11-25")) == [0.9]


def test_whole_numbers_compare_to_their_last_digit() -> None:
    [entry] = rows(0.9, seed=2**63 - 1)
    assert Condition("seed", "=", "9223372036854775807").holds(entry)
    assert not Condition("seed", "=", "9223372036854775806").holds(entry)
    assert Condition("seed", ">", "9223372036854775806").holds(entry)
    assert Condition("seed", "<", "1e19").holds(entry)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (">", "2026-11-26", True),
        (">=", "2026-11-26T03:00", True),
        (">", "2026-11-26T03:00Z", False),
        ("<", "2026-11-26T04:30+01:00", True),
        ("<", "2026-11-26T04:00+01:00", False),
        ("<=", "20261126T030000Z", True),
        ("<", "2026-11-27", True),
        (">", "1795662000", False),
        (">=", "1795662000.0", True),
        ("~", "2026-11-26", True),
        ("~", "T03:0", True),
        ("~", "2026-11-25", False),
    ],
)
@pytest.mark.parametrize("key", ["started", "finished"])
def test_times_compare_with_dates(key: str, operator: str, value: str, expected: bool) -> None:
    [entry] = rows(0.9, started=1_795_662_000.0, finished=1_795_662_000.0)  # 2026-11-26 03:00 UTC
    assert Condition(key, operator, value).holds(entry) is expected


def test_what_has_no_time_yet_meets_no_bound() -> None:
    [entry] = rows(0.9, finished=None)
    assert not Condition("finished", ">", "2026-11-26").holds(entry)
    assert not Condition("finished", "~", "2026").holds(entry)


def test_booleans_compare_as_booleans() -> None:
    real, drawn = rows(0.9)[0], rows(0.8, synthetic=True)[0]
    assert chosen([real, drawn], Condition("synthetic", "=", "true")) == [0.8]
    assert chosen([real, drawn], Condition("synthetic", "!=", "TRUE")) == [0.9]
    assert chosen([real, drawn], Condition("reproducible", "=", "false")) == []


def test_a_knob_that_another_version_wrote_as_text_is_compared_as_text() -> None:
    [entry] = rows(0.9, parameters={"epochs": "many", "dropout": {"low": 0.1}})
    assert Condition("epochs", "!=", "3").holds(entry)
    assert Condition("dropout", "~", "low").holds(entry)


@pytest.mark.parametrize(
    ("key", "operator", "value", "message"),
    [
        ("started", ">", "yesterday", "started is a time: give a date such as 2026-11-26"),
        ("finished", "<", "2026-13-01", "not '2026-13-01'"),
        ("started", "<", "nan", "not 'nan'"),
        ("started", "=", "2026-11-26", "started is a time, .* such as 'started ~ 2026-11-26'"),
        ("synthetic", "=", "maybe", "synthetic is true or false, so it can't be compared with 'maybe'"),
        ("synthetic", ">", "true", "compare it with = or !=, not >"),
        ("accuracy", ">", "1", "runs have no key 'accuracy'; the keys are run_id"),
        ("epochs", "=>", "1", "'=>' is not an operator; use one of ="),
        ("epochs", ">", "many", "epochs is a number, so it can't be compared with 'many'"),
    ],
)
def test_nonsense_is_one_line(key: str, operator: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):  # even if there is no run to compare
        Condition(key, operator, value)


def test_runs_without_a_value_come_last_in_both_directions() -> None:
    found = rows(0.9, None, 0.8)
    assert [entry["test_accuracy"] for entry in ordered(found, "test_accuracy", KEYS)] == [0.8, 0.9, None]
    assert [entry["test_accuracy"] for entry in ordered(found, "-test_accuracy", KEYS)] == [0.9, 0.8, None]
    with pytest.raises(ConfigError, match="runs have no key 'speed'"):
        ordered(found, "-speed", KEYS)


LOSSES = (1.09, math.nan, math.inf, math.nan, None, 1.39, 0.93)


def test_nan_never_comes_first() -> None:
    found = [rows(0.9, last_validation_loss=loss)[0] for loss in LOSSES]
    up = [entry["last_validation_loss"] for entry in ordered(found, "last_validation_loss", KEYS)]
    down = [entry["last_validation_loss"] for entry in ordered(found, "-last_validation_loss", KEYS)]
    assert up[:4] == [0.93, 1.09, 1.39, math.inf]
    assert down[:4] == [math.inf, 1.39, 1.09, 0.93]
    for order in (up, down):
        assert all(loss is None or math.isnan(loss) for loss in order[4:])


def test_runs_that_diverged_can_be_selected() -> None:
    found = [rows(0.9, last_validation_loss=loss)[0] for loss in LOSSES]
    assert len([entry for entry in found if Condition("last_validation_loss", "=", "nan").holds(entry)]) == 2
    assert len([entry for entry in found if Condition("last_validation_loss", "!=", "nan").holds(entry)]) == 5
    assert len([entry for entry in found if Condition("last_validation_loss", "<", "9").holds(entry)]) == 3


def test_a_recipe_is_not_judged_by_nan() -> None:
    other = {"parameters": {"hidden": [8]}}
    found = recipes([*rows(math.nan, 0.8, 0.9), *rows(0.85, **other), *rows(math.nan, parameters={"hidden": [4]})])
    assert [(recipe.runs, round(recipe.mean, 3)) for recipe in found] == [(2, 0.85), (1, 0.85)]
    assert found[0].best == "20261122T030000Z-00000002"


def test_a_recipe_is_all_but_the_seed() -> None:
    wide = {"parameters": {"hidden": [1024], "seed": 3}}
    found = recipes([*rows(0.90, 0.92, None, seed=1), *rows(0.95, seed=2, **wide)])
    assert [(recipe.parameters["hidden"], recipe.runs) for recipe in found] == [("1024", 1), ("512,512", 2)]
    assert (found[0].mean, found[0].stddev) == (0.95, None)
    assert found[1].mean == pytest.approx(0.91)
    assert found[1].stddev == pytest.approx(0.01414, abs=1e-5)
    assert found[1].best == "20261121T030000Z-00000001"
    assert recipes(rows(None)) == []


def test_limits_of_the_gate_are_not_part_of_a_recipe() -> None:
    strict = {"parameters": {**summary().parameters, "accuracy_floor": 0.99}}
    [recipe] = recipes([*rows(0.90), *rows(0.92, **strict)])
    assert (recipe.runs, recipe.parameters) == (2, {})


def test_csv_reads_back() -> None:
    found = list(csv.DictReader(io.StringIO(as_csv(rows(0.9, None), KEYS))))
    assert [entry["test_accuracy"] for entry in found] == ["0.9", ""]
    assert found[0]["hidden"] == "512,512"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_spreadsheet_reads_text_of_a_run_as_a_formula(text: str) -> None:
    [entry] = csv.DictReader(io.StringIO(as_csv(rows(-0.5, sweep=text, model='a,"b"'), KEYS)))
    assert entry["sweep"] == f"'{text}"
    assert (entry["model"], entry["test_accuracy"], entry["synthetic"]) == ('a,"b"', "-0.5", "false")


def test_keys_are_the_knobs_of_the_models_in_the_ledger() -> None:
    trees = summary("20261123T030000Z-00000009", model="trees", parameters={"depth": 6, "rate": 0.1, "bins": "auto"})
    mixed = summary(parameters={"depth": None, "rate": 1, "pruned": True})
    keys = keys_of([trees, mixed])
    assert [keys[name] for name in ("depth", "rate", "bins", "pruned", "epochs_done")] == [int, float, str, bool, int]
    entry = row(trees, NOW, 600, keys)
    assert (entry["depth"], entry["pruned"]) == (6, None)
    assert AnyCondition("depth", ">=", "6", keys).holds(entry)
    with pytest.raises(ConfigError, match="runs have no key 'hidden'"):
        AnyCondition("hidden", "=", "6", keys)
