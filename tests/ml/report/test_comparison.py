"""Runs side by side: what counts as a difference, and the page of any number of runs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from catwalk.errors import CatwalkError
from catwalk.ledger.records import RunRecord, TrainingRecord
from catwalk.report import compare_figures, compare_page
from catwalk.report.comparison import Comparison, Entry, compare, compare_with_baseline, differing_parameters
from catwalk.report.facts import Part, Predictions
from catwalk.storage.store import Store
from ml.fashion_mnist.config import CLASSES, RunConfig
from tests.ml.report.conftest import check_page, dataset, epochs, evaluation, predictions, summary
from tests.ml.report.test_figures import check_drawing


def entry(number: int, found: Predictions | None, **knobs: Any) -> Entry:
    run_id = f"20261123T030000Z-{number:08x}"
    record = Part(RunRecord(run_id, "mlp", "cli", RunConfig.from_flat(knobs).to_dict(), number, "c0de", 1e9, False))
    untested: Part[Any] = Part(None, "It was never tested.")
    return Entry(
        run_id=run_id,
        record=record,
        summary=summary(run_id),
        dataset=Part(dataset()),
        training=Part(TrainingRecord(1, epochs(3 + number % 20))),
        evaluation=Part(evaluation(found)) if found else untested,
        predictions=Part(found) if found else untested,
    )


def comparison(*entries: Entry, images: bool = True) -> Comparison:
    pictures = np.zeros((1_000, 28, 28), dtype=np.uint8)
    shown: Part[Any] = Part(pictures) if images else Part(None, "The test images are gone.")
    return Comparison(list(entries), compare_with_baseline(entries), differing_parameters(entries), shown)


def test_a_model_does_not_differ_from_itself() -> None:
    same = predictions(1)
    (pair,) = compare_with_baseline([entry(1, same), entry(2, same)])
    assert pair.overall is not None
    assert (pair.overall.value, pair.overall.p, pair.overall.significant) == (0.0, 1.0, False)
    assert {found.p for found in pair.classes.values()} == {1.0}


def test_a_planted_difference_is_found_in_its_class_and_nowhere_else() -> None:
    base = predictions(1)
    logits = base.logits.copy()
    shirts = base.labels == CLASSES.index("shirt")
    logits[shirts, CLASSES.index("shirt")] += 10
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


def test_other_test_images_are_no_comparison_and_say_so() -> None:
    base = predictions(1)
    other = predictions(2, base.labels[::-1].copy())
    pairs = compare_with_baseline([entry(1, base), entry(2, other), entry(3, None)])
    assert [pair.overall for pair in pairs] == [None, None]
    assert "other images" in pairs[0].why
    assert pairs[1].why == "It was never tested."


def test_only_parameters_that_differ_are_told() -> None:
    same = predictions(1)
    found = comparison(entry(1, same, dropout=0.1), entry(2, same, dropout=0.3, epochs=9))
    assert found.parameters == {"dropout": [0.1, 0.3], "epochs": [18, 9], "seed": [1, 2]}


def test_two_runs_show_what_only_one_has_right() -> None:
    base, other = predictions(1), predictions(2, predictions(1).labels)
    found = comparison(entry(1, base), entry(2, other))
    drawing = compare_figures.disagreements(found)
    check_drawing(drawing)
    assert f"only the baseline is right ({(base.right & ~other.right).sum()} images)" in drawing.note
    page = check_page(compare_page.build(found).html)
    assert len(page.figures) == len(compare_page.FIGURES)


def test_forty_runs_are_still_legible() -> None:
    labels = predictions(1).labels
    found = comparison(*(entry(n, predictions(n, labels), dropout=n / 100) for n in range(1, 41)), entry(41, None))
    drawing = compare_figures.loss(found)
    for crowded in (drawing, compare_figures.class_differences(found)):
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


def test_what_is_missing_is_said() -> None:
    report = compare_page.build(comparison(entry(1, None), entry(2, None), images=False))
    assert set(report.missing) == {"test_accuracy", "disagreements", "class_differences"}
    page = check_page(report.html)
    assert "was never tested" in page.text and "The test images are gone." in page.text


def test_one_run_that_diverged_does_not_flatten_the_others() -> None:
    same = predictions(1)
    diverged = entry(3, None)
    wild = [dataclasses.replace(record, validation_loss=1e6, validation_accuracy=0.1) for record in epochs(3)]
    diverged = dataclasses.replace(diverged, training=Part(TrainingRecord(1, wild)))
    found = comparison(*(entry(n, same) for n in (9, 10, 11, 12)), diverged)
    drawing = compare_figures.loss(found)
    assert drawing.figure.axes[0].get_ylim()[1] < 5
    assert "Values far from all others lie outside the chart." in drawing.note


def test_an_accuracy_that_is_no_number_is_left_out_of_the_figure() -> None:
    labels = predictions(1).labels
    odd = entry(3, predictions(3, labels))
    odd = dataclasses.replace(odd, evaluation=Part(dataclasses.replace(odd.evaluation.get(), accuracy=math.nan)))
    found = comparison(entry(1, predictions(1)), odd, entry(2, predictions(2, labels)))
    assert "2 runs" in compare_figures.test_accuracy(found).alt
    assert "test_accuracy" in compare_page.build(found).figures


def test_a_comparison_takes_two_different_runs() -> None:
    store = Store("s3://nothing-is-read")
    with pytest.raises(CatwalkError, match="takes two runs or more"):
        compare(store, ["20261123T030000Z-7f3a90c1"])
    with pytest.raises(CatwalkError, match="is named twice"):
        compare(store, ["20261123T030000Z-7f3a90c1"] * 2)
