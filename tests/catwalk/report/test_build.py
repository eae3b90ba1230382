"""The page of a run: complete, failed, damaged, hostile."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catwalk.errors import CatwalkError
from catwalk.ledger.records.dataset import SplitStatistics
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.training import TrainingRecord
from catwalk.report import NAVIGATION, run_sections
from catwalk.report.build import Report, assemble, write
from catwalk.report.facts import Facts, MissingError, Part
from catwalk.web import palette
from tests.catwalk.report.conftest import (
    CHAMPION,
    FIGURES,
    GARMENTS,
    RUN,
    Page,
    check_page,
    class_list,
    dataset,
    epochs,
    evaluation,
    failed,
    predictions,
    summary,
)
from tests.catwalk.report.test_figures import ODD

pytestmark = pytest.mark.drawing

HOSTILE = "<script>alert(1)</script>\"'&"


def test_a_complete_run(make_facts: Callable[..., Facts]) -> None:
    many = predictions(1, examples=10_000)
    images = np.tile(make_facts().images.get(), (10, 1, 1))
    full = {"predictions": many, "evaluation": evaluation(many), "images": images}
    full["champion"] = predictions(2, many.labels, skill=2.6)
    report = assemble(make_facts(**{name: Part(value) for name, value in full.items()}), 1.79e9)
    page = check_page(report.html)
    assert len(report.html) < 1_500_000, "real images compress better than these random ones"
    assert (report.missing, set(report.figures)) == ({}, set(FIGURES))
    assert len(page.figures) == len(FIGURES)
    assert all("prefers-color-scheme: dark" in svg for svg in page.figures)
    shown = {colour for svg in page.figures for colour in re.findall("#[0-9a-fA-F]{6}", svg)}
    own = {colour for colour in vars(palette).values() if isinstance(colour, palette.Colour)}
    assert shown <= {shade for colour in (*own, *palette.RUNS) for shade in colour} | {palette.ON_COLOUR}
    assert report.html.count(NAVIGATION.encode()) == 1
    text = page.text
    assert text.index("Ship: better.") < text.index("shirt got worse.") < text.index("Loss and accuracy by epoch")
    for expected in (f"Run {RUN}", CHAMPION, "✗ failed", "+1.20 points", "-0.0040", "Champion: " + CHAMPION, "55,000"):
        assert expected in text, expected
    for name in GARMENTS:
        assert name in text
    assert "decided about 23 runs so far" in text


def test_a_failed_run_says_what_is_missing_and_why(make_facts: Callable[..., Facts]) -> None:
    report = assemble(failed(make_facts(), f"the loss is not finite {HOSTILE}"), 1.79e9)
    page = check_page(report.html)
    assert "This run has no decision: it failed in train." in page.text
    assert "Missing: a trained model, a test score and a decision." in page.text
    assert f"the loss is not finite {HOSTILE}" in page.text
    assert "loss_and_accuracy" in report.figures, "what was trained is shown"
    assert set(report.missing) == {
        "class_accuracy", "confusion_matrix", "reliability", "example_predictions", "worst_mistakes",
    }  # fmt: skip
    assert page.text.count("The model was never tested: the run failed before.") >= len(report.missing)


def test_text_from_others_is_shown_and_never_executed(make_facts: Callable[..., Facts]) -> None:
    checks = [CheckRecord(HOSTILE, "passed", 1.0, 1.0, None, None, HOSTILE)]
    facts = make_facts()
    hostile = failed(facts, HOSTILE)
    hostile = dataclasses.replace(
        hostile,
        record=dataclasses.replace(facts.record, dag_run_id=HOSTILE, git_commit=HOSTILE, versions={HOSTILE: HOSTILE}),
        summary=summary(sentence=HOSTILE, error=HOSTILE),
        decision=Part(dataclasses.replace(facts.decision.get(), sentence=HOSTILE, checks=checks)),
        training=Part(None, HOSTILE),
        past=[],
    )
    page = check_page(assemble(hostile, 1.79e9).html)
    assert page.text.count(HOSTILE) >= 8


GONE: Part[Any] = Part(None, "It is gone.")
PARTS = {
    "images": {"example_predictions", "worst_mistakes"},
    "previews": {"worst_mistakes"},
    "predictions": {"reliability", "example_predictions", "worst_mistakes"},
    "evaluation": {"class_accuracy", "confusion_matrix"},
    "training": {"loss_and_accuracy", "rate_and_gradient"},
    "champion": set(),
    "dataset": set(),
    "champion_dataset": set(),
    "attempts": set(),
    "decision": set(),
}
"""Part of the facts → figures that can't be drawn without it."""


@pytest.mark.parametrize("part", PARTS)
def test_each_missing_part_costs_its_figures_only(part: str, make_facts: Callable[..., Facts]) -> None:
    facts, missing = make_facts(**{part: GONE}), {}
    for name, (_, draw) in FIGURES.items():
        try:
            draw(facts)
        except MissingError as reason:
            missing[name] = str(reason)
    assert missing == dict.fromkeys(PARTS[part], "It is gone.")


def test_a_page_without_any_part_still_says_what_is_missing(make_facts: Callable[..., Facts]) -> None:
    report = assemble(make_facts(**dict.fromkeys(PARTS, GONE), past=[]), 1.79e9)
    assert set(report.missing) == set(FIGURES) - {"stage_durations"}
    assert check_page(report.html).text.count("It is gone.") >= len(report.missing)


def test_nonsense_in_a_record_costs_its_figure_only(make_facts: Callable[..., Facts]) -> None:
    facts = failed(make_facts(), "")
    nonsense = [dataclasses.replace(epoch, epoch="one") for epoch in epochs(2)]  # type: ignore[arg-type]
    report = assemble(dataclasses.replace(facts, training=Part(TrainingRecord(1, nonsense))), 1.79e9)
    assert {"accuracy_over_runs", "stage_durations"} == set(report.figures)
    assert "could not be drawn" in check_page(report.html).text
    damaged = make_facts().evaluation.get()
    damaged.confusion[:] = [[1, 2]]
    with pytest.raises(MissingError, match="confusion matrix"):
        FIGURES["confusion_matrix"][1](make_facts(evaluation=Part(damaged)))


def test_writing_gives_a_page_and_its_figures(tmp_path: Path) -> None:
    report = Report(RUN, b"<!doctype html>", {"a": b"png"}, {})
    page = write(report, tmp_path / "new" / "folder")
    assert page.read_bytes() == report.html
    assert (page.parent / "figures" / "a.png").read_bytes() == b"png"
    (tmp_path / "file").write_text("")
    with pytest.raises(CatwalkError, match="choose another folder with --out"):
        write(report, tmp_path / "file")


@pytest.mark.parametrize("count", [2, 3, 10, 40, 100])
def test_a_page_of_any_number_of_classes(count: int, make_facts: Callable[..., Facts]) -> None:
    report = assemble(make_facts(class_list(count)), 1.79e9)
    page = check_page(report.html)
    assert report.missing == {}
    assert page.text.count(", share of training") == min(count, 12)
    assert (f"The 12 most changed of {count} classes." in page.text) == (count > 12)
    assert len(report.html) < 1_500_000


def test_odd_class_names_are_shown_and_never_executed(make_facts: Callable[..., Facts]) -> None:
    names = [HOSTILE, *ODD]
    report = assemble(make_facts(names), 1.79e9)
    assert report.missing == {}
    page = check_page(report.html)
    for name in names:
        assert f"{name}, share of training" in page.text


@pytest.mark.parametrize("theirs", [GARMENTS[::-1], [*GARMENTS[:5], "hat", "cap"], []])
def test_shares_of_training_are_compared_by_name(theirs: list[str], make_facts: Callable[..., Facts]) -> None:
    counts = {"dress": 5_000, "bag": 300}
    of = theirs or GARMENTS
    before = dataset("e" * 64, classes=of)
    train = SplitStatistics(10_000, [counts.get(name, 100) for name in of])
    before = dataclasses.replace(before, splits={"train": train}, classes=theirs)
    sections = run_sections.dataset(make_facts(champion_dataset=Part(before)))
    text = Page("".join(section.text for section in sections).encode()).text
    assert "dress, share of training10.00%50.00%-40.00%" in text
    has_bag = "bag" in of
    assert f"bag, share of training10.00%{'3.00%+7.00%' if has_bag else '––'}" in text
    assert ("Its classes differ (7, here 10): they are compared by name." in text) == (not has_bag)
