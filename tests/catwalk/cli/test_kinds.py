"""Terminal tables of logged runs, by kind of problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import catwalk
from tests.catwalk.report.test_kinds import HALF, churn, demand, ledger, tickets
from tests.support.commands import command_line

__all__ = ["ledger"]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the `catwalk` command on the test's ledger."""
    return command_line(capfd, monkeypatch, tmp_path)


def test_a_regression_shows_its_metrics_with_units(ledger: Any, command: Any) -> None:
    run_id = demand(1, slices=HALF)
    metrics = ledger.run(run_id).evaluation().metrics
    text = command("show", run_id).out
    assert f"test mae {metrics['mae']:.4g} EUR (2,000 examples)" in text
    assert f"{metrics['rmse']:.4g} EUR" in text and text.count("lower is better") == 3 and "half" in text
    assert f"mae {metrics['mae']:.4g} EUR" in command("runs").out and "test\n%" not in command("runs").out


def test_limits_with_reasons_owner_and_links_are_shown(ledger: Any, command: Any) -> None:
    limits = {"mae": (40.0, "a day's [stock]"), "significance": 0.02}
    options: Any = {"owner": "stores", "links": {"notebook": "https://example.org/[n]"}, "thresholds": limits}
    with catwalk.run("demand", catwalk.Regression("EUR"), **options) as run:
        pass
    shown, listed = command("show", run.run_id).out, command("models").out
    assert "mae, at most 40 EUR: a day's [stock]" in shown and "significance 0.02" in shown
    for text in (shown, listed):
        assert "stores" in text and "notebook https://example.org/[n]" in " ".join(text.split())
    (row,) = command("models", "--json").json()
    assert row["links"] == options["links"] and row["threshold_reasons"] == {"mae": "a day's [stock]"}
    assert row["thresholds"] == {"floors": {"mae": 40.0}, "significance": 0.02}


def test_a_binary_model_has_the_columns_of_its_own_epochs_and_scores_without_per_cent(
    ledger: Any, command: Any
) -> None:
    with catwalk.run("fraud", catwalk.Binary()) as run:
        run.epoch(1, train={"loss": 0.5}, validation={"loss": 0.4, "auc": 0.8})
        run.test([0, 1] * 500, [0.25, 0.75] * 500)
    text = command("show", run.run_id).out
    head = next(line.split("  ") for line in text.splitlines() if line.startswith("epoch"))
    assert [word.strip() for word in head if word] == ["epoch", "train loss", "valid. loss", "valid. auc", "took"]
    lines = {line.split("  ")[0]: line.split()[1:3] for line in text.splitlines()}
    assert lines["auc"] == ["1", "higher"] and lines["brier"] == ["0.0625", "lower"]
    assert lines["calibration error"] == ["error", "25.00%"]


def test_twenty_of_a_hundred_classes_are_shown_unless_you_ask_for_all(ledger: Any, command: Any) -> None:
    run_id = tickets(0.5)
    recall = ledger.run(run_id).evaluation().class_accuracy
    few, whole = command("show", run_id).out, command("show", run_id, "--all").out
    assert "the 20 worst; --all shows 80 more classes" in few and "more classes" not in whole
    worst = sorted(range(100), key=recall.__getitem__)
    assert f"queue {worst[0]} " in few and f"queue {worst[-1]}  " in whole
    rows = [line for line in few.splitlines() if line.strip().startswith("queue")]
    assert len(rows) == 20
    assert len([line for line in whole.splitlines() if line.strip().startswith("queue")]) == 100


@pytest.mark.parametrize("width", ["40", "80", "160"])
def test_comparisons_show_differences_of_the_metrics_that_both_have(
    ledger: Any, command: Any, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    first, second = demand(2, slices=HALF), demand(1, slices=HALF)
    found = command("compare", first, second)
    maes = [ledger.run(run_id).evaluation().metrics["mae"] for run_id in (first, second)]
    words, tables = " ".join(found.out.split()), found.out.rpartition("\n\n")[0]
    assert found.code == 0 and max(map(len, tables.splitlines())) <= int(width)
    assert f"{maes[1] - maes[0]:+.4g}" in words
    assert "rmse" in words and "half first" in words and "Student's paired t-test on the same examples" in words
    assert "no score of each class" not in words and "points" not in words and "×" not in words
    plain = command("compare", first, second, "--json").json()["runs"][1]
    assert plain["metric_differences"]["mae"] == pytest.approx(maes[1] - maes[0])
    assert plain["difference"]["better"] and plain["difference"]["metric"] == "mae" and len(plain["slices"]) == 2


def test_runs_of_different_kinds_are_listed_side_by_side(ledger: Any, command: Any) -> None:
    text = " ".join(command("compare", churn(0.3), demand(1), tickets(0.3)).out.split())
    assert "Runs of different kinds (binary, regression, multiclass) can't be compared with each other" in text
    assert "log loss" in text and "mae" in text and "A regression model can't be compared with a binary model" in text
