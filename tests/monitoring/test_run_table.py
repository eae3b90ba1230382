"""Choosing, sorting and grouping runs."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from ml.errors import ConfigError
from monitoring.run_table import KEYS, Condition, Row, as_csv, ordered, recipes, row
from tests.monitoring.ledgers import summary

NOW = 1_800_000_000.0


def rows(*accuracies: float | None, **changes: Any) -> list[Row]:
    """A run for each accuracy, oldest first."""
    return [
        row(summary(f"2026112{number}T030000Z-0000000{number}", test_accuracy=accuracy, **changes), NOW, 600)
        for number, accuracy in enumerate(accuracies)
    ]


def chosen(of: list[Row], *conditions: Condition) -> list[float | None]:
    return [entry["test_accuracy"] for entry in of if all(condition.holds(entry) for condition in conditions)]


def test_a_row_has_every_key_in_plain_values() -> None:
    [entry] = rows(0.9)
    assert tuple(entry) == KEYS
    assert (entry["hidden"], entry["seed"], entry["epochs"]) == ("512,512", 7, 18)
    assert entry["batch_size"] is None  # a run from before that knob


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


@pytest.mark.parametrize(
    ("key", "operator", "value", "message"),
    [
        ("accuracy", ">", "1", "runs have no 'accuracy'; known are run_id"),
        ("epochs", "=>", "1", "'=>' is no operator; use one of ="),
        ("epochs", ">", "many", "epochs is a number, so it can't be compared with 'many'"),
    ],
)
def test_what_makes_no_sense_is_one_line(key: str, operator: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        chosen(rows(0.9), Condition(key, operator, value))


def test_runs_without_a_value_come_last_in_both_directions() -> None:
    found = rows(0.9, None, 0.8)
    assert [entry["test_accuracy"] for entry in ordered(found, "test_accuracy")] == [0.8, 0.9, None]
    assert [entry["test_accuracy"] for entry in ordered(found, "-test_accuracy")] == [0.9, 0.8, None]
    with pytest.raises(ConfigError, match="runs have no 'speed'"):
        ordered(found, "-speed")


def test_a_recipe_is_all_but_the_seed() -> None:
    wide = {"parameters": {"hidden": [1024], "seed": 3}}
    found = recipes([*rows(0.90, 0.92, None, seed=1), *rows(0.95, seed=2, **wide)])
    assert [(recipe.parameters["hidden"], recipe.runs) for recipe in found] == [("1024", 1), ("512,512", 2)]
    assert (found[0].mean, found[0].stddev) == (0.95, None)
    assert found[1].mean == pytest.approx(0.91)
    assert found[1].stddev == pytest.approx(0.01414, abs=1e-5)
    assert found[1].best == "20261121T030000Z-00000001"
    assert recipes(rows(None)) == []


def test_what_the_gate_asks_for_is_no_part_of_a_recipe() -> None:
    strict = {"parameters": {**summary().parameters, "accuracy_floor": 0.99}}
    [recipe] = recipes([*rows(0.90), *rows(0.92, **strict)])
    assert (recipe.runs, recipe.parameters) == (2, {})


def test_csv_reads_back() -> None:
    found = list(csv.DictReader(io.StringIO(as_csv(rows(0.9, None)))))
    assert [entry["test_accuracy"] for entry in found] == ["0.9", ""]
    assert found[0]["hidden"] == "512,512"
