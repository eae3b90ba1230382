"""Runs side by side: what counts as a difference, and the page of any number of runs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from catwalk.errors import CatwalkError
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import TrainingRecord
from catwalk.report.comparison import curves
from catwalk.report.comparison import page as compare_page
from catwalk.report.comparison.classes import class_differences
from catwalk.report.comparison.differences import Comparison, compare, compare_with_baseline, side_by_side
from catwalk.report.comparison.disagreements import disagreements
from catwalk.report.comparison.entries import Entry, named
from catwalk.report.facts import Part, Predictions
from catwalk.storage.s3_store import S3Store
from ml.fashion_mnist.config import RunConfig
from tests.catwalk.report.conftest import (
    GARMENTS,
    check_page,
    class_list,
    dataset,
    epochs,
    evaluation,
    predictions,
    summary,
)
from tests.catwalk.report.test_figures import ODD, check_drawing, check_legible

pytestmark = pytest.mark.drawing


def entry(number: int, found: Predictions | None, **knobs: Any) -> Entry:
    run_id = f"20261123T030000Z-{number:08x}"
    record = Part(RunRecord(run_id, "mlp", "cli", RunConfig.from_flat(knobs).to_dict(), number, "c0de", 1e9, False))
    untested: Part[Any] = Part(None, "It was never tested.")
    return Entry(
        run_id=run_id,
        record=record,
        summary=summary(run_id),
        dataset=Part(dataset(classes=found.classes if found else GARMENTS)),
        training=Part(TrainingRecord(1, epochs(3 + number % 20))),
        evaluation=Part(evaluation(found)) if found else untested,
        predictions=Part(found) if found else untested,
        images=Part(np.zeros((len(found.labels), 28, 28), dtype=np.uint8)) if found else untested,
    )


def comparison(*entries: Entry) -> Comparison:
    return side_by_side(entries)


def test_a_model_does_not_differ_from_itself() -> None:
    same = predictions(1)
    (pair,) = compare_with_baseline([entry(1, same), entry(2, same)])
    assert pair.overall is not None
    assert (pair.overall.value, pair.overall.p, pair.overall.significant) == (0.0, 1.0, False)
    assert {found.p for found in pair.classes.values()} == {1.0}


def test_a_planted_difference_is_found_in_its_class_and_nowhere_else() -> None:
    base = predictions(1)
    logits = base.logits.copy()
    shirts = base.labels == GARMENTS.index("shirt")
    logits[shirts, GARMENTS.index("shirt")] += 10
    (pair,) = compare_with_baseline([entry(1, base), entry(2, dataclasses.replace(base, logits=logits))])
    assert [name for name, found in pair.classes.items() if found.significant] == ["shirt"]
    assert pair.overall is not None and pair.overall.significant
    assert pair.overall.only_baseline == 0
    assert pair.overall.low < pair.overall.value < pair.overall.high
    assert pair.overall.value == pytest.approx(pair.classes["shirt"].value / 10)


def test_with_more_runs_the_same_difference_needs_more_evidence() -> None:
    base, better = predictions(1), predictions(2, predictions(1).labels, skill=3.4)
    (alone,) = compare_with_baseline([entry(1, base), entry(2, better)])
    among = compare_with_baseline([entry(1, base), entry(2, better), *(entry(n, base) for n in range(3, 13))])
    assert alone.overall is not None and among[0].overall is not None
    assert among[0].overall.p == pytest.approx(min(1.0, 11 * alone.overall.p))
    assert {name: found.p for name, found in among[0].classes.items()} == {
        name: found.p for name, found in alone.classes.items()
    }, "classes are corrected within a run"


def test_other_test_images_are_not_compared_and_the_page_says_so() -> None:
    base = predictions(1)
    other = predictions(2, base.labels[::-1].copy())
    pairs = compare_with_baseline([entry(1, base), entry(2, other), entry(3, None)])
    assert [pair.overall for pair in pairs] == [None, None]
    assert "different examples" in pairs[0].why
    assert pairs[1].why == "It was never tested."


def test_only_parameters_that_differ_are_listed() -> None:
    same = predictions(1)
    found = comparison(entry(1, same, dropout=0.1), entry(2, same, dropout=0.3, epochs=9))
    assert found.parameters == {"dropout": [0.1, 0.3], "epochs": [18, 9], "seed": [1, 2]}


def test_two_runs_show_what_only_one_has_right() -> None:
    base, other = predictions(1), predictions(2, predictions(1).labels)
    found = comparison(entry(1, base), entry(2, other))
    drawing = disagreements(found)
    check_drawing(drawing)
    assert f"only the baseline is right ({(base.right & ~other.right).sum()} images)" in drawing.note
    page = check_page(compare_page.build(found).html)
    assert len(page.figures) == len(compare_page.figures(found))


def test_forty_runs_are_still_legible() -> None:
    labels = predictions(1).labels
    found = comparison(*(entry(n, predictions(n, labels), dropout=n / 100) for n in range(1, 41)), entry(41, None))
    drawing = curves.loss(found)
    for crowded in (drawing, class_differences(found)):
        check_drawing(crowded)
    (legend,) = drawing.figure.legends
    assert [text.get_text().removesuffix(", baseline") for text in legend.get_texts()] == [
        one.run_id for one in found.entries
    ]
    report = compare_page.build(found)
    page = check_page(report.html)
    assert report.missing == {}
    for one in found.entries:
        assert page.text.count(one.run_id) >= 2, "in the table of runs and in that of parameters"


def test_the_page_says_what_is_missing() -> None:
    report = compare_page.build(comparison(entry(1, None), entry(2, None)))
    assert set(report.missing) == {"test_accuracy", "disagreements", "class_differences"}
    page = check_page(report.html)
    assert page.text.count("It was never tested.") >= len(report.missing)


def test_one_run_that_diverged_does_not_flatten_the_others() -> None:
    same = predictions(1)
    diverged = entry(3, None)
    wild = [dataclasses.replace(record, validation_loss=1e6, validation_accuracy=0.1) for record in epochs(3)]
    diverged = dataclasses.replace(diverged, training=Part(TrainingRecord(1, wild)))
    found = comparison(*(entry(n, same) for n in (9, 10, 11, 12)), diverged)
    drawing = curves.loss(found)
    assert drawing.figure.axes[0].get_ylim()[1] < 5
    assert "Values far from all others are outside the chart." in drawing.note


def test_an_accuracy_of_nan_is_left_out_of_the_figure() -> None:
    labels = predictions(1).labels
    odd = entry(3, predictions(3, labels))
    odd = dataclasses.replace(odd, evaluation=Part(dataclasses.replace(odd.evaluation.get(), accuracy=math.nan)))
    found = comparison(entry(1, predictions(1)), odd, entry(2, predictions(2, labels)))
    assert "2 runs" in curves.test_headline(found).alt
    assert "test_accuracy" in compare_page.build(found).figures


def test_a_comparison_takes_two_different_runs() -> None:
    store = S3Store("s3://nothing-is-read")
    with pytest.raises(CatwalkError, match="takes two runs or more"):
        compare(store, ["20261123T030000Z-7f3a90c1"])
    with pytest.raises(CatwalkError, match="is named twice"):
        compare(store, ["20261123T030000Z-7f3a90c1"] * 2)


def reordered(found: Predictions, classes: list[str]) -> Predictions:
    """Returns the same answers with the classes in another order; removed classes take their examples with them."""
    kept = found.among(classes)
    order = [found.classes.index(name) for name in classes]
    return Predictions(np.array([order.index(label) for label in kept.labels]), kept.logits[:, order], classes)


def pictures(found: Predictions, seed: int = 0) -> Part[Any]:
    """Returns an image of each example, by its class and its place within the class."""
    images = np.zeros((len(found.labels), 4, 4), dtype=np.uint8)
    for name in found.classes:
        of_class = found.indices([name])
        images[of_class, 0, 0] = np.arange(len(of_class)) % 251
        images[of_class, 0, 1] = sum(map(ord, name)) % 251
        images[of_class, 0, 2] = seed
    return Part(images)


def seen(number: int, found: Predictions, seed: int = 0) -> Entry:
    return dataclasses.replace(entry(number, found), images=pictures(found, seed))


@pytest.mark.parametrize("count", [2, 3, 10, 100])
def test_classes_in_another_order_are_paired_by_name(count: int) -> None:
    base, other = (predictions(seed, classes=class_list(count)) for seed in (1, 2))
    (straight,) = compare_with_baseline([entry(1, base), entry(2, other)])
    (turned,) = compare_with_baseline([entry(1, base), entry(2, reordered(other, class_list(count)[::-1]))])
    assert turned == straight
    assert turned.overall and not turned.note


def test_runs_with_other_classes_are_compared_on_those_that_both_have() -> None:
    base = predictions(1)
    better = base.logits.copy()
    better[base.labels == GARMENTS.index("shirt"), GARMENTS.index("shirt")] += 10
    classes = ["shirt", "hat", *(name for name in GARMENTS if name not in ("shirt", "bag", "coat"))]
    widened = Predictions(base.labels, np.hstack([better, np.full((len(base.labels), 1), -9.0)]), [*GARMENTS, "hat"])
    found = comparison(seen(1, base), seen(2, reordered(widened, classes)))
    (pair,) = found.pairs
    assert list(pair.classes) == [name for name in GARMENTS if name not in ("bag", "coat")], "in the baseline's order"
    assert [name for name, one in pair.classes.items() if one.significant] == ["shirt"]
    assert pair.overall and pair.overall.only_baseline == 0 and pair.overall.value > 0
    assert pair.note == (
        "Its classes differ from the baseline's (9 here, 10 there): the differences, overall and by class, cover the 8 "
        "class names that both have, and their 800 test examples."
    )
    report = compare_page.build(found)
    assert report.missing == {}
    assert check_page(report.html).text.count(pair.note) >= 2, "below the runs and below the figure"


def test_many_runs_with_other_classes_still_show_their_disagreements() -> None:
    base = predictions(1)
    others = [reordered(predictions(n, base.labels), GARMENTS[n:]) for n in range(2, 6)]
    found = comparison(seen(1, base), *(seen(n, other) for n, other in enumerate(others, 2)))
    drawing = disagreements(found)
    check_drawing(drawing)
    assert "of 500 images" in drawing.note, "those of the classes that all have"
    check_drawing(class_differences(found))
    assert compare_page.build(found).missing == {}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (
            seen(2, predictions(2, classes=["dress", "hat", "cap"])),
            "it was tested on different examples from the baseline's",
        ),
        (seen(2, predictions(2, classes=["hat", "cap"])), "no tested class is in both"),
        (
            seen(2, reordered(predictions(2), GARMENTS[1:]), seed=1),
            "it was tested on different examples from the baseline's",
        ),
        (entry(2, reordered(predictions(2), GARMENTS[1:])), "it was tested on different examples from the baseline's"),
        (
            dataclasses.replace(entry(2, reordered(predictions(2), GARMENTS[1:])), images=Part(None, "They are gone.")),
            "it is unknown whether the test examples are the same. They are gone.",
        ),
    ],
)
def test_other_classes_without_the_same_examples_are_not_compared(other: Entry, why: str) -> None:
    found = comparison(seen(1, predictions(1)), other)
    (pair,) = found.pairs
    assert pair.overall is None and not pair.classes
    assert pair.why.startswith("Its classes differ from the baseline's") and why in pair.why
    report = compare_page.build(found)
    assert set(report.missing) == {"disagreements", "class_differences"}, "curves and scores are shown"
    assert pair.why in check_page(report.html).text


def test_a_run_of_an_older_version_has_the_names_of_one_with_as_many_classes() -> None:
    numbers = [str(label) for label in range(10)]
    old = entry(1, predictions(1, classes=numbers))
    old = dataclasses.replace(old, evaluation=Part(dataclasses.replace(old.evaluation.get(), classes=[])))
    new, other = entry(2, predictions(2)), entry(3, predictions(3, classes=["cat", "dog"]))
    assert [one.predictions.get().classes for one in named([old, other, new])] == [GARMENTS, ["cat", "dog"], GARMENTS]
    assert named([old, other])[0].predictions.get().classes == numbers
    (pair,) = comparison(*named([old, new])).pairs
    assert list(pair.classes) == GARMENTS and not pair.note


def alike(runs: int, count: int) -> Comparison:
    """Returns this number of runs with this number of classes, all tested on the same examples."""
    names = class_list(count)
    base = predictions(1, classes=names)
    return comparison(*(entry(n, predictions(n, base.labels, classes=names)) for n in range(1, runs + 1)))


@pytest.mark.parametrize("count", [2, 3, 10, 20, 40, 100])
@pytest.mark.parametrize("runs", [2, 4, 7])
def test_any_number_of_classes_is_compared(count: int, runs: int) -> None:
    drawing = class_differences(alike(runs, count))
    check_drawing(drawing)
    check_legible(drawing)
    most = 20 if runs <= 5 else 10
    rows = drawing.figure.axes[0].get_yticklabels() if runs <= 5 else drawing.figure.axes[0].get_xticklabels()
    assert len(rows) == min(count, most)
    assert (f"The {most} classes with the largest differences, of {count}." in drawing.note) == (count > most)


@pytest.mark.parametrize(("runs", "count"), [(2, 2), (4, 3), (7, 10), (2, 20), (4, 40), (7, 100)])
def test_a_page_compares_any_number_of_classes(runs: int, count: int) -> None:
    report = compare_page.build(alike(runs, count))
    assert report.missing == {}
    page = check_page(report.html)
    assert ("The 20 classes with the largest differences, of" in page.text) == (count > 20)


def test_of_many_classes_the_most_different_are_shown() -> None:
    names = class_list(100)
    base = predictions(1, classes=names)
    logits = base.logits.copy()
    logits[base.labels == 57, 57] += 20
    found = comparison(entry(1, base), entry(2, dataclasses.replace(base, logits=logits)))
    rows = class_differences(found).figure.axes[0].get_yticklabels()
    assert rows[0].get_text() == names[57]


@pytest.mark.parametrize("runs", [2, 7])
def test_odd_names_break_no_page(runs: int) -> None:
    found = comparison(*(entry(n, predictions(n, predictions(1).labels % 8, classes=ODD)) for n in range(1, runs + 1)))
    report = compare_page.build(found)
    assert report.missing == {}
    page = check_page(report.html)
    for name in ODD:
        assert name in page.text
    drawing = class_differences(found)
    check_drawing(drawing)
    check_legible(drawing)
    assert "Shown by number: class 1 is \U0010fffd." in drawing.note
