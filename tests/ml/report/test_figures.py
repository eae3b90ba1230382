"""Each figure: legible as PNG and SVG, nothing cut off, its main numbers in words."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catwalk.ledger.records import TrainingRecord
from catwalk.report import calibration, classes, curves, examples, history, style
from catwalk.report.build import FIGURES
from catwalk.report.facts import Facts, MissingError, Part
from ml.fashion_mnist.config import CLASSES
from tests.ml.report.conftest import CHAMPION, RUN, epochs, evaluation, predictions, summary


def check_drawing(drawing: style.Drawing) -> None:
    """A picture that decodes, with all that is drawn inside of it, and words for who can't see it."""
    picture = Image.open(io.BytesIO(style.as_png(drawing)))
    picture.load()
    width, height = drawing.figure.get_size_inches()
    assert picture.size == pytest.approx((width * style.PNG_DPI, height * style.PNG_DPI), abs=1)
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10, "it is not empty"
    box = drawing.figure.get_tightbbox()
    assert box.x0 > -0.03 and box.y0 > -0.03, f"cut off at the left or below: {box}"
    assert box.x1 < width + 0.03, f"cut off at the right: {box}"
    assert box.y1 < height - style.TITLE_HEIGHT + 0.03, f"covered by the title: {box}"
    assert len(drawing.alt) > 40 and drawing.alt.endswith(".") and drawing.title


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_a_complete_run(name: str, make_facts: Callable[..., Facts]) -> None:
    check_drawing(FIGURES[name][1](make_facts()))


@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_epochs(count: int, make_facts: Callable[..., Facts]) -> None:
    facts = make_facts(training=Part(TrainingRecord(1, epochs(count))))
    check_drawing(curves.loss_and_accuracy(facts))
    check_drawing(curves.rate_and_gradient(facts))


def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(make_facts: Callable[..., Facts]) -> None:
    drawing = curves.loss_and_accuracy(make_facts(training=Part(TrainingRecord(1, epochs(20)))))
    assert "The best epoch is 10 with" in drawing.alt, "1.1/n + 0.01·n is lowest at n = 10"


def test_a_loss_that_is_not_finite_leaves_a_gap_and_is_said(make_facts: Callable[..., Facts]) -> None:
    broken = [
        dataclasses.replace(record, train_loss=math.nan, validation_loss=math.inf, gradient_norm=math.nan)
        for record in epochs(1)
    ]
    drawing = curves.loss_and_accuracy(make_facts(training=Part(TrainingRecord(1, broken))))
    check_drawing(drawing)
    assert "No epoch has a finite validation loss" in drawing.note
    texts = [text.get_text() for axes in drawing.figure.axes for text in axes.texts]
    assert texts.count("no finite value") == 1, "of the loss; accuracy is finite"


def test_class_accuracy_shows_challenger_and_champion(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    drawing = classes.class_accuracy(facts)
    confusion = facts.evaluation.get().confusion
    theirs = facts.champion.get()
    of_shirts = theirs.labels == CLASSES.index("shirt")
    own, other = confusion[6][6] / sum(confusion[6]), theirs.right[of_shirts].mean()
    assert f"shirt {own:.1%} (champion {other:.1%})" in drawing.alt
    (axes,) = drawing.figure.axes
    assert axes.get_legend_handles_labels()[1] == [f"challenger, {RUN}", f"champion, {CHAMPION}"]
    alone = classes.class_accuracy(make_facts(champion=Part(None, "There was no champion.")))
    check_drawing(alone)
    assert alone.note == "The champion is not shown. There was no champion."


def test_the_confusion_matrix_has_per_cent_and_counts(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    drawing = classes.confusion_matrix(facts)
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    for row in facts.evaluation.get().confusion:
        for count in filter(None, row):
            share = count / sum(row)
            assert (f"{100 * share:.0f}%\n{count}" if share >= 0.01 else f"<1%\n{count}") in texts


def test_calibration_says_which_way_the_model_errs(make_facts: Callable[..., Facts]) -> None:
    sure, unsure = predictions(1, skill=3.0), predictions(1, skill=3.0)
    for found, factor, expected in ((sure, 3.0, "too sure of itself"), (unsure, 0.3, "not sure enough")):
        scaled = dataclasses.replace(found, logits=found.logits * factor)
        drawing = calibration.reliability_diagram(make_facts(predictions=Part(scaled)))
        check_drawing(drawing)
        assert expected in drawing.note


def test_the_worst_mistakes_are_wrong_and_the_surest_come_first(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    found = facts.predictions.get()
    wrong = np.flatnonzero(~found.right)
    surest = wrong[found.confidence[wrong].argmax()]
    expected = f"{CLASSES[found.labels[surest]]}: {CLASSES[found.predicted[surest]]}"
    assert f"predicted class and probability. {expected}" in examples.worst_mistakes(facts).alt
    perfect = predictions(1, skill=100.0)
    with pytest.raises(MissingError, match="every test image was classified right"):
        examples.worst_mistakes(make_facts(predictions=Part(perfect)))


def test_examples_are_drawn_by_lot_and_stay_the_same(make_facts: Callable[..., Facts]) -> None:
    first, again = (examples.example_predictions(make_facts()).alt for _ in range(2))
    assert first == again
    assert examples.example_predictions(make_facts(run_id=CHAMPION)).alt != first
    for name in CLASSES:
        assert f"{name}: " in first


@pytest.mark.parametrize("count", [1, 2, 7, 400])
def test_any_number_of_past_runs(count: int, make_facts: Callable[..., Facts]) -> None:
    random = np.random.default_rng(5)
    past = [
        summary(
            f"20260101T000000Z-{number:08x}", started=1.7e9 + 86_400 * number, test_accuracy=random.normal(0.9, 0.002)
        )
        for number in range(count - 1)
    ]
    facts = make_facts(past=[*past, summary(test_accuracy=0.9)])
    drawing = history.accuracy_over_runs(facts)
    check_drawing(drawing)
    assert f"{count} runs" in drawing.alt
    check_drawing(history.stage_durations(facts))


def test_a_run_far_below_is_shown_at_the_edge_and_flattens_nobody(make_facts: Callable[..., Facts]) -> None:
    past = [summary(f"20260101T000000Z-{n:08x}", test_accuracy=accuracy) for n, accuracy in enumerate([0.9, 0.91, 0.1])]
    drawing = history.accuracy_over_runs(make_facts(past=past))
    check_drawing(drawing)
    assert drawing.figure.axes[0].get_ylim()[0] > 0.85
    assert "1 far below the others, at 10.0% or more, shown at the edge." in drawing.note


def test_figures_of_the_past_that_are_no_numbers_are_left_out(make_facts: Callable[..., Facts]) -> None:
    odd = [
        summary(f"2026112{n}T000000Z-0000000{n}", test_accuracy=math.nan, stage_seconds={"train": math.nan}, started=n)
        for n in (1, 2)
    ]
    facts = make_facts(past=[odd[0], summary(CHAMPION, started=1.78e9, test_accuracy=0.83), odd[1], summary()])
    drawing = history.accuracy_over_runs(facts)
    assert drawing.alt.startswith("Test accuracy of 2 runs of mlp, from 83.00% to 85.00%, median 84.00%.")
    assert "(median before 46.0 s)" in history.stage_durations(facts).alt


def test_promotions_and_champion_are_marked(make_facts: Callable[..., Facts]) -> None:
    drawing = history.accuracy_over_runs(make_facts())
    labels = drawing.figure.axes[0].get_legend_handles_labels()[1]
    assert {"in service", "promoted", "champion", "this run"} <= set(labels)
    assert f"1 promotions are marked. The champion {CHAMPION} has 83.00%." in drawing.alt


def test_durations_beside_those_before(make_facts: Callable[..., Facts]) -> None:
    before: dict[str, Any] = {"started": 1.78e9, "stage_seconds": {"train": 20.0}}
    past = [summary("20260101T000000Z-00000001", **before), summary()]
    drawing = history.stage_durations(make_facts(past=past))
    assert "train 46.0 s (median before 20.0 s)" in drawing.alt
    assert "publish builds this page" in drawing.note
    with pytest.raises(MissingError, match="No stage"):
        history.stage_durations(make_facts(summary=summary(stage_seconds={})))


def test_a_class_without_examples_breaks_nothing(make_facts: Callable[..., Facts]) -> None:
    labels = np.arange(500) % 9
    found = predictions(1, labels)
    facts = make_facts(
        predictions=Part(found), evaluation=Part(evaluation(found)), champion=Part(predictions(2, labels))
    )
    for name, (_, draw) in FIGURES.items():
        if name not in ("example_predictions", "worst_mistakes"):
            check_drawing(draw(facts))
