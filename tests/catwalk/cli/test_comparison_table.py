"""Comparisons in a terminal: sparklines, and tables that fit."""

from __future__ import annotations

import math

import pytest
from rich.cells import cell_len
from rich.console import Console

from catwalk.cli.tables.comparison_table import as_plain, sparkline, tables
from catwalk.report.comparison.differences import Comparison
from tests.catwalk.report.conftest import GARMENTS, class_list, predictions
from tests.catwalk.report.test_comparison import comparison, entry, reordered, seen


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


def printed(found: Comparison, width: int) -> str:
    console = Console(width=width, highlight=False, record=True)
    with console.capture() as captured:
        console.print(*tables(found, width), sep="\n")
    return captured.get()


@pytest.mark.parametrize("width", [40, 79, 80, 119, 120])
@pytest.mark.parametrize("count", [2, 4, 12])
def test_nothing_is_cut_or_wrapped_at_any_width(width: int, count: int) -> None:
    labels = predictions(1).labels
    found = comparison(*(entry(n, predictions(n, labels, skill=2 + n / 6)) for n in range(1, count + 1)))
    text = printed(found, width)
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


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("runs", [2, 4, 12])
@pytest.mark.parametrize("count", [2, 3, 10, 40, 100])
def test_any_number_of_classes_fits(count: int, runs: int, width: int) -> None:
    names = class_list(count)
    labels = predictions(1, classes=names).labels
    found = comparison(*(entry(n, predictions(n, labels, classes=names)) for n in range(1, runs + 1)))
    text = printed(found, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert ("The 20 classes with the largest differences, of" in words) == (count > 20)
    assert ("--json has all." in words) == (count > 20)
    assert len(as_plain(found)["runs"][1]["classes"]) == count


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("runs", [2, 5])
def test_long_and_odd_names_are_wrapped_and_not_read_as_markup(runs: int, width: int) -> None:
    names = ["тест", "鞋", "[red]name[/]", "W" * 60]
    labels = predictions(1, classes=names).labels
    found = comparison(*(entry(n, predictions(n, labels, classes=names)) for n in range(1, runs + 1)))
    text = printed(found, width)
    assert "…" not in text and "[red]name[/]" in text and "鞋" in text
    assert text.count("W") == 60 * text.count("тест"), "wrapped, not cut"
    assert max(map(cell_len, text.splitlines())) <= width


def test_runs_with_other_classes_say_what_is_compared() -> None:
    base = predictions(1)
    found = comparison(seen(1, base), seen(2, reordered(predictions(2, base.labels), GARMENTS[:1:-1])))
    text = " ".join(printed(found, 120).split())
    assert "Its classes differ from the baseline's (8 here, 10 there)" in text
    assert "trouser" not in text and "ankle-boot" in text
    assert as_plain(found)["runs"][1]["note"] in text
