"""Comparisons on a terminal: sparklines, and tables that fit."""

from __future__ import annotations

import math

import pytest
from rich.console import Console

from catwalk.cli.tables.comparison_table import as_plain, sparkline, tables
from tests.ml.report.conftest import predictions
from tests.ml.report.test_comparison import comparison, entry


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([0.5, 0.5], "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([3.0, math.nan, 1.0, math.inf], "█×▁×"),
        ([math.nan], "×"),
    ],
)
def test_sparkline(values: list[float], expected: str) -> None:
    assert sparkline(values) == expected


def test_a_long_curve_keeps_its_ends() -> None:
    line = sparkline([float(value) for value in range(200, 0, -1)], width=8)
    assert line == "█▇▆▅▄▃▂▁"


@pytest.mark.parametrize("width", [40, 79, 80, 119, 120])
@pytest.mark.parametrize("count", [2, 4, 12])
def test_nothing_is_cut_or_wrapped_at_any_width(width: int, count: int) -> None:
    labels = predictions(1).labels
    found = comparison(*(entry(n, predictions(n, labels, skill=2 + n / 6)) for n in range(1, count + 1)))
    console = Console(width=width, highlight=False, record=True)
    with console.capture() as captured:
        console.print(*tables(found, width), sep="\n")
    text = captured.get()
    assert "…" not in text
    for one in found.entries:
        assert one.run_id in text
    assert max(map(len, text.splitlines())) <= width
    assert "*" in text, "a difference of this size is more than noise"


def test_plain_values_are_json_and_complete() -> None:
    found = comparison(entry(1, predictions(1)), entry(2, None))
    plain = as_plain(found)
    assert plain["baseline"] == found.baseline.run_id
    assert [run["why"] for run in plain["runs"]] == ["", "It was never tested."]
    assert plain["runs"][0]["validation_loss"] == [
        record.validation_loss for record in found.baseline.training.get().epochs
    ]
