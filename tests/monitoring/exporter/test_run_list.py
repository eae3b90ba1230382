"""The list of runs: what an address asks for, and what is refused in one sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest

from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk_exporter.pages import comparison, run_list
from catwalk_exporter.pages.run_query import LONGEST, SORTS, parsed
from catwalk_exporter.pages.view import QueryError
from tests.catwalk.report.conftest import Page
from tests.support.ledgers import summary
from tests.support.views import listed, view

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
DAY = 86_400.0
HOSTILE = "<script>alert(1)</script>\"'&"


def a_run(number: int, **changes: Any) -> SummaryRecord:
    """One of a day's runs, the lowest number the oldest."""
    started = NOW - DAY * (100 - number)
    times = {"started": started, "updated": started + 60, "finished": started + 60}
    return summary(f"2026{number // 28 + 10:02}{number % 28 + 1:02}T030000Z-{number:08x}", **{**times, **changes})


RUNS = (
    a_run(1, model="churn", owner="growth", test_accuracy=0.91, epochs=3),
    a_run(2, model="mlp", owner="vision", test_accuracy=None, state="failed", error="CUDA out of memory", decision=""),
    a_run(3, model="犬と猫", owner="growth", test_accuracy=0.93, trigger="manual"),
    a_run(4, model="mlp", owner="vision", test_accuracy=float("nan"), decision="hold", reason="no_better"),
    a_run(5, model="mlp", owner="", test_accuracy=0.92, state="running", finished=None, updated=NOW - 3_600),
)


def found(parameters: str) -> list[int]:
    """Returns the numbers of the runs that an address lists, in their order."""
    return [int(run.run_id[-8:], 16) for run in parsed(parameters).runs(view(*RUNS, now=NOW))]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("q=&model=&owner=&state=&from=&to=&sort=-started&size=100", [5, 4, 3, 2, 1]),
        ("q=cuda", [2]),
        ("q=GROWTH+manual", [3]),
        ("q=no+better", [4]),
        ("q=0003", [3]),
        ("q=%E7%8A%AC", [3]),
        ("q=nothing+has+this", []),
        ("model=mlp", [5, 4, 2]),
        ("model=%E7%8A%AC%E3%81%A8%E7%8C%AB", [3]),
        ("model=none", []),
        ("owner=growth", [3, 1]),
        ("owner=growth&model=churn", [1]),
        ("state=failed", [2]),
        ("state=stalled", [5]),
        ("state=running", []),
        ("from=2026-10-10", [5, 4, 3]),
        ("from=2026-10-10&to=2026-10-10", [3]),
        ("to=2026-10-09", [2, 1]),
        ("to=0001-01-01", []),
        ("from=9999-12-31", []),
    ],
)
def test_filters_show_runs_that_match_all_of_them(parameters: str, expected: list[int]) -> None:
    assert found(parameters) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("started", [1, 2, 3, 4, 5]),
        ("test", [1, 5, 3, 4, 2]),
        ("-test", [3, 5, 1, 4, 2]),
        ("model", [1, 5, 4, 2, 3]),
        ("owner", [3, 1, 4, 2, 5]),
        ("epochs", [1, 5, 4, 3, 2]),
        ("-trigger", [5, 4, 2, 1, 3]),
        ("state", [2, 5, 4, 3, 1]),
    ],
)
def test_runs_are_sorted_and_those_without_a_value_come_last(sort: str, expected: list[int]) -> None:
    assert found(f"sort={sort}") == expected


def test_every_column_sorts_in_both_directions() -> None:
    for column in SORTS:
        assert sorted(found(f"sort={column}")) == sorted(found(f"sort=-{column}")) == [1, 2, 3, 4, 5], column


@pytest.mark.parametrize(
    ("parameters", "status", "sentence"),
    [
        ("sort=nonsense", 400, "There is no sort 'nonsense'. Choose one of started, state,"),
        ("colour=red", 400, "The list of runs has no parameter 'colour'. Its parameters are q, model,"),
        ("state=dead", 400, "There is no state 'dead'. Choose one of running, succeeded,"),
        ("page=9999", 404, "There is no page 9,999: the list has 1 page."),
        ("page=0", 400, "page must be a number of at least 1, not '0'."),
        ("page=-1", 400, "page must be a number"),
        ("page=²", 400, "page must be a number"),
        ("page=" + "9" * 60, 400, "page must be a number"),
        ("size=1000000", 400, "There is no size 1000000. Choose one of 25, 100, 500."),
        ("from=2026-02-30", 400, "'2026-02-30' is not a date. Enter a date such as 2026-11-26."),
        ("to=99999-01-01", 400, "is not a date"),
        ("from=yesterday", 400, "is not a date"),
        ("from=2026-11-02&to=2026-11-01", 400, "The dates are the wrong way round"),
        ("q=" + "x" * 10_000, 414, f"its parameters may have at most {LONGEST:,} characters"),
        (f"sort={HOSTILE}", 400, "There is no sort"),
        (f"from={HOSTILE}", 400, "is not a date"),
        (f"{HOSTILE}=1", 400, "has no parameter"),
        ("sort=%00%ff", 400, "There is no sort"),
    ],
)
def test_a_wrong_parameter_is_a_sentence(parameters: str, status: int, sentence: str) -> None:
    shown = view(*RUNS, now=NOW)
    with pytest.raises(QueryError) as refused:
        run_list.page(shown, parsed(parameters))
    assert refused.value.status == status
    page = Page(run_list.refusal(shown, refused.value).encode(errors="replace"))
    assert sentence in page.text and "script" not in page.tags and "Show all runs" in page.text


def test_pages_follow_one_another_and_count() -> None:
    many = [a_run(number) for number in range(60)]

    def numbers(page: int) -> list[int]:
        text = listed(*many, now=NOW, parameters=f"size=25&page={page}")
        return [int(number, 16) for number in re.findall(r'href="/runs/[^"]*-([0-9a-f]{8})"', text)]

    assert [*numbers(1), *numbers(2), *numbers(3)] == [*range(59, -1, -1)]
    middle = Page(listed(*many, now=NOW, parameters="size=25&page=2").encode())
    assert "26–50 of 60 runs" in middle.text and "FirstPreviousPage 2 of 3NextLast" in middle.text
    assert "Previous" not in Page(listed(*many, now=NOW, parameters="size=25").encode()).text
    assert "Next" not in Page(listed(*many, now=NOW, parameters="size=25&page=3").encode()).text
    assert "Page " not in Page(listed(*many, now=NOW).encode()).text


def test_the_form_keeps_the_query() -> None:
    text = listed(*RUNS, now=NOW, parameters="q=0&model=mlp&owner=vision&state=failed&from=2026-10-01&to=2026-12-31")
    for field in (
        '<input type="search" name="q" value="0">', '<option value="mlp" selected>', '<option value="vision" selected>',
        '<option value="failed" selected>', 'name="from" value="2026-10-01"', 'name="to" value="2026-12-31"',
        '<option value="-started" selected>', '<option value="100" selected>',
    ):  # fmt: skip
        assert field in text, field
    assert '<form method="get" action="/">' in text and 'formaction="/compare"' in text
    unknown = listed(*RUNS, now=NOW, parameters="model=none")
    assert "No run matches these filters." in unknown and '<option value="none" selected>' in unknown


def test_what_is_selected_stays_selected_on_other_pages() -> None:
    here, gone = RUNS[0].run_id, "20200101T000000Z-00000000"
    text = listed(*RUNS, now=NOW, parameters=f"run={here}&run={gone}&run={HOSTILE.replace('&', '%26')}")
    assert text.count(" checked ") == 3
    assert f'value="{here}" checked' in text.partition("<table>")[2]
    elsewhere = text.partition("Also selected: ")[2].partition("</p>")[0]
    assert gone in elsewhere and here not in elsewhere
    assert "<script" not in text


def test_with_very_many_models_you_type_the_name() -> None:
    many = [a_run(number, model=f"model {number}") for number in range(300)]
    assert '<input type="text" name="model">' in listed(*many, now=NOW)


def test_text_from_others_stays_text() -> None:
    hostile = a_run(1, model=HOSTILE, owner=HOSTILE, trigger=HOSTILE, decision=HOSTILE, reason=HOSTILE)
    page = Page(listed(hostile, now=NOW).encode())
    assert "script" not in page.tags and page.text.count(HOSTILE) >= 5


def test_an_empty_ledger_says_how_to_make_a_run() -> None:
    page = Page(listed(now=NOW).encode())
    assert "There are no runs yet." in page.text and "form" not in page.tags


def test_the_champion_is_marked_and_damage_is_bounded() -> None:
    champion = ChampionRecord("churn", RUNS[0].run_id, "5" * 64, NOW, "", RUNS[0].run_id, "gate", "better")
    damaged = {f"summaries/{number:04}.json": "it is damaged" for number in range(5_000)}
    shown = view(*RUNS, now=NOW, champions=(champion,), damaged=damaged)
    text = run_list.page(shown, parsed(""))
    row = next(row for row in text.split("<tr>") if RUNS[0].run_id in row)
    assert text.count(">champion<") == row.count(">champion<") == 1
    assert "5,000 damaged objects" in text and "and 4,900 more" in text and text.count("it is damaged") == 100


# --- comparisons ------------------------------------------------------------------------------------------------------


def compared(parameters: str) -> list[int]:
    chosen = comparison.chosen(parameters, view(*RUNS, now=NOW))
    return [int(run.run_id[-8:], 16) for run in chosen]


def of_runs(*numbers: int) -> str:
    return "&".join(f"run={RUNS[number - 1].run_id}" for number in numbers)


def test_the_oldest_is_the_baseline_unless_another_is_named() -> None:
    assert compared(of_runs(4, 2, 3)) == [2, 3, 4]
    assert compared(f"{of_runs(4, 2, 3)}&baseline={RUNS[2].run_id}&q=x&page=7") == [3, 2, 4]
    assert compared(of_runs(4, 2, 4, 4)) == [2, 4]


def test_a_set_of_runs_has_one_address() -> None:
    for numbers, baseline in (((4, 2), ""), ((2, 4), f"&baseline={RUNS[1].run_id}")):
        chosen = comparison.chosen(of_runs(*numbers) + baseline, view(*RUNS, now=NOW))
        assert comparison.address(chosen) == f"/compare?{of_runs(2, 4)}"
    other = f"{of_runs(2, 4)}&baseline={RUNS[3].run_id}"
    assert comparison.address(comparison.chosen(other, view(*RUNS, now=NOW))) == f"/compare?{other}"


@pytest.mark.parametrize(
    ("parameters", "status", "sentence"),
    [
        ("", 400, "A comparison takes 2 to 20 runs; no run is selected."),
        (of_runs(1), 400, "one run is selected."),
        ("&".join(f"run={number}" for number in range(21)), 400, "21 runs are selected."),
        (f"{of_runs(1)}&run=20200101T000000Z-00000000", 404, "There is no run 20200101T000000Z-00000000."),
        (f"{of_runs(1)}&run={HOSTILE.replace('&', '')}", 404, "There is no run <script>"),
        (f"{of_runs(1, 2)}&baseline={RUNS[2].run_id}", 400, "is not one of the compared runs."),
        ("run=" + "x" * 10_000, 414, "too long"),
    ],
)
def test_runs_that_cannot_be_compared_are_one_sentence(parameters: str, status: int, sentence: str) -> None:
    shown = view(*RUNS, now=NOW)
    with pytest.raises(QueryError) as refused:
        comparison.chosen(parameters, shown)
    assert refused.value.status == status
    page = Page(comparison.refusal(shown, refused.value).encode())
    assert sentence in page.text and "script" not in page.tags


def test_a_comparison_is_old_when_a_run_has_changed_and_every_five_minutes_while_one_runs() -> None:
    ended, running = RUNS[0], RUNS[4]
    assert comparison.version([ended], NOW) == comparison.version([ended], NOW + DAY)
    assert comparison.version([ended], NOW) != comparison.version([a_run(1, updated=NOW)], NOW)
    assert comparison.version([running], NOW) == comparison.version([running], NOW + 299)
    assert comparison.version([running], NOW) != comparison.version([running], NOW + 301)
