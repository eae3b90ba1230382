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

from catwalk.ledger.records.summary import StageSummary
from catwalk.ledger.records.training import TrainingRecord
from catwalk.report.facts import Facts, MissingError, Part
from catwalk.report.figures import calibration, classes, curves, examples, history, style
from tests.catwalk.report.conftest import (
    CHAMPION,
    FIGURES,
    GARMENTS,
    RUN,
    class_list,
    epochs,
    evaluation,
    predictions,
    summary,
)

pytestmark = pytest.mark.drawing


def check_drawing(drawing: style.Drawing) -> None:
    """Checks that the picture decodes, that everything is drawn inside it, and that it has a text alternative."""
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


def test_a_loss_that_is_not_finite_leaves_a_gap_and_is_mentioned(make_facts: Callable[..., Facts]) -> None:
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
    of_shirts = theirs.labels == GARMENTS.index("shirt")
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
    for found, factor, expected in ((sure, 3.0, "overconfident"), (unsure, 0.3, "underconfident")):
        scaled = dataclasses.replace(found, logits=found.logits * factor)
        drawing = calibration.reliability_diagram(make_facts(predictions=Part(scaled)))
        check_drawing(drawing)
        assert expected in drawing.note


def test_the_worst_mistakes_are_wrong_and_the_most_confident_come_first(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    found = facts.predictions.get()
    wrong = np.flatnonzero(~found.right)
    surest = wrong[found.confidence[wrong].argmax()]
    expected = f"{GARMENTS[found.labels[surest]]}: {GARMENTS[found.predicted[surest]]}"
    assert f"predicted class and probability. {expected}" in examples.worst_mistakes(facts).alt
    perfect = predictions(1, skill=100.0)
    with pytest.raises(MissingError, match="every test image was classified correctly"):
        examples.worst_mistakes(make_facts(predictions=Part(perfect)))


def test_examples_are_drawn_at_random_and_stay_the_same(make_facts: Callable[..., Facts]) -> None:
    first, again = (examples.example_predictions(make_facts()).alt for _ in range(2))
    assert first == again
    assert examples.example_predictions(make_facts(run_id=CHAMPION)).alt != first
    for name in GARMENTS:
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
    drawing = history.headline_over_runs(facts)
    check_drawing(drawing)
    assert f"{count} runs" in drawing.alt
    check_drawing(history.stage_durations(facts))


def test_a_run_far_below_is_shown_at_the_edge_and_flattens_no_other(make_facts: Callable[..., Facts]) -> None:
    past = [summary(f"20260101T000000Z-{n:08x}", test_accuracy=accuracy) for n, accuracy in enumerate([0.9, 0.91, 0.1])]
    drawing = history.headline_over_runs(make_facts(past=past))
    check_drawing(drawing)
    assert drawing.figure.axes[0].get_ylim()[0] > 0.85
    assert "1 far below the others, down to 10.00%, shown at the edge." in drawing.note


def test_past_values_of_nan_are_left_out(make_facts: Callable[..., Facts]) -> None:
    odd = [
        summary(
            f"2026112{n}T000000Z-0000000{n}",
            test_accuracy=math.nan,
            stages={"train": StageSummary(1, math.nan)},
            started=n,
        )
        for n in (1, 2)
    ]
    facts = make_facts(past=[odd[0], summary(CHAMPION, started=1.78e9, test_accuracy=0.83), odd[1], summary()])
    drawing = history.headline_over_runs(facts)
    assert drawing.alt.startswith("Test accuracy of 2 runs of mlp, from 83.00% to 85.00%, median 84.00%.")
    assert "(earlier median 46.0 s)" in history.stage_durations(facts).alt


def test_promotions_and_champion_are_marked(make_facts: Callable[..., Facts]) -> None:
    drawing = history.headline_over_runs(make_facts())
    labels = drawing.figure.axes[0].get_legend_handles_labels()[1]
    assert {"in service", "promoted", "champion", "this run"} <= set(labels)
    assert f"1 promotions are marked. The champion {CHAMPION} has 83.00%." in drawing.alt


def test_durations_beside_those_before(make_facts: Callable[..., Facts]) -> None:
    before: dict[str, Any] = {"started": 1.78e9, "stages": {"train": StageSummary(1, 20.0)}}
    past = [summary("20260101T000000Z-00000001", **before), summary()]
    drawing = history.stage_durations(make_facts(past=past))
    assert "train 46.0 s (earlier median 20.0 s)" in drawing.alt
    assert "publish builds this page" in drawing.note
    with pytest.raises(MissingError, match="No stage"):
        history.stage_durations(make_facts(summary=summary(stages={})))


def test_a_class_without_examples_breaks_nothing(make_facts: Callable[..., Facts]) -> None:
    labels = np.arange(500) % 9
    found = predictions(1, labels)
    facts = make_facts(
        predictions=Part(found), evaluation=Part(evaluation(found)), champion=Part(predictions(2, labels))
    )
    for name, (_, draw) in FIGURES.items():
        if name not in ("example_predictions", "worst_mistakes"):
            check_drawing(draw(facts))


COUNTS = [2, 3, 10, 20, 40, 100]
ODD = [
    "тест",
    "\U0010fffd",
    "synthetic-aperture-radar-image-of-a-container-vessel-at-anchor",
    "w" * 60,
    '<b>&"quoted"</b>',
    "$a$ and $b$",
    "$x^$",
    " two\nlines ",
]
"""Class names that a layout, HTML or a font might mishandle; no font has a private character of plane 16."""


def check_legible(drawing: style.Drawing) -> None:
    """Checks that no text overlaps another one, and that none is smaller than a phone can show."""
    drawing.figure.canvas.draw()  # only then is each text in its final place
    for axes in drawing.figure.axes:
        inside = [text for text in axes.texts if text.get_text()]
        beside = [text for text in axes.get_yticklabels() if text.get_text()]
        for texts in (inside, beside):
            boxes = [text.get_window_extent() for text in texts]
            pairs = [
                (i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].shrunk(0.95, 0.8).overlaps(boxes[j])
            ]
            assert not pairs, [(texts[i].get_text(), texts[j].get_text()) for i, j in pairs[:3]]
        assert all(text.get_fontsize() >= 6 for text in (*inside, *beside, *axes.get_xticklabels()))


OF_CLASSES = ["class_accuracy", "confusion_matrix", "example_predictions", "worst_mistakes"]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("count", COUNTS)
def test_any_number_of_classes_is_drawn_and_legible(name: str, count: int, make_facts: Callable[..., Facts]) -> None:
    drawing = FIGURES[name][1](make_facts(class_list(count)))
    check_drawing(drawing)
    if name in OF_CLASSES:
        check_legible(drawing)


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("count", [8, 16, 48])
def test_odd_names_are_drawn_whole_or_shortened(name: str, count: int, make_facts: Callable[..., Facts]) -> None:
    odd = [f"{name}{number or ''}" for number in range(count // len(ODD)) for name in ODD]
    drawing = FIGURES[name][1](make_facts(odd))
    check_drawing(drawing)
    check_legible(drawing)


@pytest.mark.parametrize(("count", "shown"), [(3, 3), (10, 10), (20, 20), (40, 20), (100, 20)])
def test_of_many_classes_the_worst_are_shown(count: int, shown: int, make_facts: Callable[..., Facts]) -> None:
    facts = make_facts(class_list(count))
    drawing = classes.class_accuracy(facts)
    rows = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    recall = dict(zip(class_list(count), facts.evaluation.get().class_accuracy, strict=True))
    assert len(rows) == shown
    if shown == count:
        assert rows == class_list(count)
        assert "lowest" not in drawing.note
    else:
        assert [recall[name] for name in rows] == sorted(recall.values())[:20]
        assert f"The 20 classes with the lowest accuracy, of {count}." in drawing.note


def test_more_classes_have_shades_and_the_most_frequent_mistakes(make_facts: Callable[..., Facts]) -> None:
    names = class_list(13)
    found = predictions(1, classes=names, skill=6)
    found.logits[found.labels == 1, 3] += 12
    drawing = classes.confusion_matrix(make_facts(names, predictions=Part(found), evaluation=Part(evaluation(found))))
    matrix, listed = drawing.figure.axes
    assert not [text for text in matrix.texts if text.get_text() != "true class"], "no numbers in cells"
    assert listed.get_yticklabels()[0].get_text() == f"{names[1]} → {names[3]}"
    assert f"the {len(listed.get_yticklabels())} most frequent of" in drawing.note
    perfect = predictions(1, classes=names, skill=100)
    spotless = classes.confusion_matrix(make_facts(names, evaluation=Part(evaluation(perfect))))
    check_drawing(spotless)
    assert "Every test example was classified correctly." in spotless.note


@pytest.mark.parametrize("count", [21, 40, 100])
def test_of_many_classes_the_largest_confusions_are_listed_alone(count: int, make_facts: Callable[..., Facts]) -> None:
    names = class_list(count)
    found = predictions(1, classes=names, skill=4)
    found.logits[found.labels == 1, 3] += 12
    drawing = classes.confusion_matrix(make_facts(names, predictions=Part(found), evaluation=Part(evaluation(found))))
    check_drawing(drawing)
    check_legible(drawing)
    (listed,) = drawing.figure.axes
    rows = [text.get_text() for text in listed.get_yticklabels()]
    assert (drawing.title, len(rows), rows[0]) == ("Most frequent confusions", 20, f"{names[1]} → {names[3]}")
    assert drawing.note.startswith("20 most frequent of") and f"among {count} classes" in drawing.note
    perfect = predictions(1, classes=names, skill=100)
    with pytest.raises(MissingError, match="Every test example was classified correctly"):
        classes.confusion_matrix(make_facts(names, evaluation=Part(evaluation(perfect))))


def test_a_name_that_no_font_has_is_replaced_by_its_number(make_facts: Callable[..., Facts]) -> None:
    drawing = classes.class_accuracy(make_facts(["тест", "\U0010fffd", "c"]))
    rows = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    assert rows == ["тест", "class 1", "c"]
    assert drawing.note == "Shown by number: class 1 is \U0010fffd."


def test_a_record_of_an_older_version_has_numbers_instead_of_names(make_facts: Callable[..., Facts]) -> None:
    old = dataclasses.replace(make_facts().evaluation.get(), classes=[])
    rows = classes.class_accuracy(make_facts(evaluation=Part(old))).figure.axes[0].get_yticklabels()
    assert [text.get_text() for text in rows] == [str(label) for label in range(10)]


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (20, 10), (1, 40), (16, 16, 3), (12, 24, 4), (700, 500)])
def test_images_of_any_shape_keep_their_proportions(shape: tuple[int, ...], make_facts: Callable[..., Facts]) -> None:
    found = predictions(1, classes=class_list(3), examples=60)
    images = np.random.default_rng(3).integers(0, 255, (60, *shape), dtype=np.uint8)
    drawing = examples.example_predictions(
        make_facts(class_list(3), predictions=Part(found), images=Part(images), evaluation=Part(evaluation(found)))
    )
    check_drawing(drawing)
    for image in drawing.figure.axes[0].get_images():
        left, right, bottom, top = image.get_extent()
        assert (top - bottom) / (right - left) == pytest.approx(shape[0] / shape[1])
        assert max(image.get_size()) < 350, "no more pixels than are visible"


@pytest.mark.parametrize(("count", "each"), [(2, 5), (3, 3), (10, 1), (20, 1)])
def test_few_classes_have_several_examples_each(count: int, each: int, make_facts: Callable[..., Facts]) -> None:
    drawing = examples.example_predictions(make_facts(class_list(count)))
    assert len(drawing.figure.axes[0].get_images()) == count * each
    for name in class_list(count):
        assert drawing.alt.count(f" {name}: ") == each


def test_of_many_classes_twenty_have_an_example(make_facts: Callable[..., Facts]) -> None:
    drawing = examples.example_predictions(make_facts(class_list(100)))
    assert len(drawing.figure.axes[0].get_images()) == 20
    assert "One test image of each of 20 of the 100 classes, chosen at random" in drawing.note


def test_without_a_score_of_its_own_a_run_draws_no_intervals_for_others(make_facts: Callable[..., Facts]) -> None:
    drawing = history.headline_over_runs(make_facts(evaluation=Part(None, "It was never tested.")))
    check_drawing(drawing)
    (axes,) = drawing.figure.axes
    assert [text.get_text() for text in axes.texts] == ["test accuracy"]
