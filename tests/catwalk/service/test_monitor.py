"""What a monitor counts, of good inputs and bad ones, by whatever library they come."""

from __future__ import annotations

import math
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from prometheus_client import CollectorRegistry

import catwalk
from catwalk.codec import to_json
from catwalk.errors import ConfigError, NotFoundError
from catwalk.telemetry import catalogue
from tests.catwalk.service.conftest import RUN, bins, made, scrape, table

VERSION = RUN.run_id
ROW = {"age": 40.0, "country": "fr", "member": True}


@pytest.fixture
def monitor(registry: CollectorRegistry) -> catwalk.PredictionMonitor:
    scores = np.linspace(0, 1, 1_000)
    reference = made(table(), scores, labels=scores > 0.3)
    return catwalk.PredictionMonitor("churn", reference=reference, registry=registry)


def test_every_bin_is_there_at_0_from_the_start(monitor: Any, registry: CollectorRegistry) -> None:
    series = scrape(registry)
    counted = {name[3:]: value for name, value in series.items() if name[0] == "catwalk_service_bin_total"}
    known = {name[3:]: value for name, value in series.items() if name[0] == "catwalk_reference_bin_examples"}
    assert counted.keys() == known.keys()
    assert {feature for feature, _ in counted} == {"age", "country", "member", "score"}
    assert set(counted.values()) == {0}
    assert {(feature, name) for feature, name in counted if feature == "country"} == {
        ("country", name) for name in ("de", "fr", "it", "missing", "other")
    }
    assert len([name for feature, name in counted if feature == "age"]) == 12


def test_all_declared_metrics_are_shown_and_no_other(monitor: Any, registry: CollectorRegistry) -> None:
    declared = {metric.name for metric in catalogue.by_transport("service")}
    shown = {name[0] for name in scrape(registry)}
    parts = {catalogue.SERVICE_DURATION.name + end for end in ("_bucket", "_count", "_sum")}
    assert shown == declared - {catalogue.SERVICE_DURATION.name} | parts


def test_a_prediction_is_counted_and_timed(monitor: Any, registry: CollectorRegistry) -> None:
    with monitor.prediction(ROW) as seen:
        seen.output = 0.31
    series = scrape(registry)
    assert series["catwalk_service_predictions_total", VERSION] == 1
    assert series["catwalk_service_errors_total", VERSION] == 0
    assert series["catwalk_service_duration_seconds_count", VERSION] == 1
    assert 0 < series["catwalk_service_duration_seconds_sum", VERSION] < 60
    assert bins(registry, "country") == {"fr": 1}
    assert bins(registry, "member") == {"True": 1}
    assert bins(registry, "score") == {"0.3..0.4": 1}


def test_an_error_is_counted_and_goes_on(monitor: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(KeyError), monitor.prediction(ROW):
        raise KeyError("age")
    series = scrape(registry)
    assert series["catwalk_service_errors_total", VERSION] == 1
    assert series["catwalk_service_predictions_total", VERSION] == 0
    assert series["catwalk_service_duration_seconds_count", VERSION] == 1
    assert bins(registry, "age") == {}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "missing"),
        (math.nan, "missing"),
        (np.float32("nan"), "missing"),
        (pd.NA, "missing"),
        (pd.NaT, "missing"),
        (math.inf, "other"),
        (-math.inf, "other"),
        ("forty", "other"),
        ([1, 2], "other"),
        (object(), "other"),
        (10**400, "other"),
    ],
)
def test_a_bad_number_has_a_bin_of_its_own(monitor: Any, registry: CollectorRegistry, value: Any, name: str) -> None:
    with monitor.prediction({**ROW, "age": value}) as seen:
        seen.output = value
    assert bins(registry, "age") == {name: 1}
    assert bins(registry, "score") in ({name: 1}, {"other": 1}, {"missing": 1})
    assert bins(registry, "country") == {"fr": 1}


@pytest.mark.parametrize(
    ("value", "name"), [(None, "missing"), (math.nan, "missing"), ("es", "other"), (7, "other"), ([1], "other")]
)
def test_a_bad_category_has_a_bin_of_its_own(monitor: Any, registry: CollectorRegistry, value: Any, name: str) -> None:
    with monitor.prediction({**ROW, "country": value}) as seen:
        seen.output = 0.5
    assert bins(registry, "country") == {name: 1}


@pytest.mark.parametrize("inputs", [[1.0], [1.0, 2.0, 3.0, 4.0], 7, "text", object(), np.zeros((2, 2, 2))])
def test_an_input_of_the_wrong_shape_is_other_throughout(
    monitor: Any, registry: CollectorRegistry, inputs: Any
) -> None:
    with monitor.prediction(inputs) as seen:
        seen.output = 0.5
    for feature in ("age", "country", "member"):
        assert bins(registry, feature) == {"other": 1}
    assert bins(registry, "score") == {"0.5..0.6": 1}


def test_a_column_that_is_not_given_is_missing(monitor: Any, registry: CollectorRegistry) -> None:
    with monitor.prediction({"age": 40.0}) as seen:
        seen.output = 0.5
    assert bins(registry, "country") == bins(registry, "member") == {"missing": 1}


@pytest.mark.parametrize(
    "inputs",
    [
        pd.DataFrame({"member": [True, False], "age": [40.0, 40.0], "country": ["fr", "de"], "more": [1, 2]}),
        {"age": np.array([40.0, 40.0]), "country": ["fr", "de"], "member": [True, False]},
        [[40.0, "fr", True], [40.0, "de", False]],
        [{"age": 40.0, "country": "fr", "member": True}, {"age": 40.0, "country": "de", "member": False}],
    ],
    ids=["data frame", "columns", "rows", "mappings"],
)
def test_many_at_once(monitor: Any, registry: CollectorRegistry, inputs: Any) -> None:
    with monitor.predictions(inputs) as seen:
        seen.output = np.array([0.31, 0.87])
    assert scrape(registry)["catwalk_service_predictions_total", VERSION] == 2
    assert bins(registry, "country") == {"fr": 1, "de": 1}
    assert bins(registry, "member") == {"True": 1, "False": 1}
    assert sum(bins(registry, "age").values()) == 2 and not {"missing", "other"} & bins(registry, "age").keys()
    assert bins(registry, "score") == {"0.3..0.4": 1, "0.8..0.9": 1}


PROBLEM = catwalk.Multiclass(("bag", "boot", "coat"))
LOGITS = np.log([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])


@pytest.fixture
def of_classes(registry: CollectorRegistry) -> catwalk.PredictionMonitor:
    answers = np.random.default_rng(0).dirichlet([1, 1, 1], 1_000)
    return catwalk.PredictionMonitor("churn", reference=made(None, answers, PROBLEM), registry=registry)


@pytest.mark.parametrize(
    "output",
    [LOGITS, np.exp(LOGITS), torch.tensor(LOGITS, requires_grad=True), np.exp(LOGITS).tolist()],
    ids=["logits", "probabilities", "tensor", "lists"],
)
def test_classes_and_confidence(of_classes: Any, registry: CollectorRegistry, output: Any) -> None:
    with of_classes.predictions() as seen:
        seen.output = output
    assert bins(registry, "class") == {"bag": 1, "coat": 1}
    with of_classes.prediction() as seen:
        seen.output = output[0]
    assert bins(registry, "class") == {"bag": 2, "coat": 1}
    assert sum(bins(registry, "confidence").values()) == 3
    assert not {"missing", "other"} & bins(registry, "confidence").keys()


@pytest.mark.parametrize(
    ("output", "name"),
    [("boot", "boot"), (2, "coat"), (np.int64(0), "bag"), ("hat", "other"), (9, "other"), (-1, "other"), (0.5, "other"),
     (None, "missing"), (math.nan, "missing"), ([0.5, 0.5], "other"), ([math.nan] * 3, "missing")],
)  # fmt: skip
def test_a_class_alone_or_none(of_classes: Any, registry: CollectorRegistry, output: Any, name: str) -> None:
    with of_classes.prediction() as seen:
        seen.output = output
    assert bins(registry, "class") == {name: 1}
    assert scrape(registry)["catwalk_service_predictions_total", VERSION] == 1


def test_pictures(registry: CollectorRegistry) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (500, 12, 12)).astype(np.uint8)
    monitor = catwalk.PredictionMonitor("churn", reference=made(pictures), registry=registry)
    with monitor.prediction(pictures[0]) as seen:
        seen.output = 1
    with monitor.predictions(pictures[:9]) as seen:
        seen.output = [1] * 9
    for feature in ("brightness", "contrast", "edges", "sharpness", "orientation", "border"):
        assert sum(bins(registry, feature).values()) == 10
    with monitor.prediction("no picture") as seen:
        seen.output = 1
    assert bins(registry, "border")["other"] == 1


def test_threads_lose_nothing(monitor: Any, registry: CollectorRegistry) -> None:
    def work(number: int) -> None:
        for _ in range(500):
            with monitor.prediction({**ROW, "age": None if number % 2 else 40.0}) as seen:
                seen.output = 0.31

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert scrape(registry)["catwalk_service_predictions_total", VERSION] == 4_000
    assert bins(registry, "age")["missing"] == 2_000
    assert bins(registry, "score") == {"0.3..0.4": 4_000}


def test_a_version_that_left_is_shown_in_two_more_scrapes(monitor: Any, registry: CollectorRegistry) -> None:
    with monitor.prediction(ROW) as seen:
        monitor.swap(reference=made(table(), np.linspace(0, 1, 1_000)), version="new")
        seen.output = 0.31
    with monitor.prediction(ROW) as seen:
        seen.output = 0.31
    for _ in range(2):
        series = scrape(registry)
        assert series["catwalk_service_predictions_total", VERSION] == 1, "it has answered what was asked of it"
        assert series["catwalk_service_predictions_total", "new"] == 1
    assert {name[1] for name in scrape(registry)} == {"new"}
    assert monitor.version == "new"


def test_a_swap_that_fails_leaves_the_old_version(monitor: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a reference"):
        monitor.swap(reference=tmp_path / "absent.json")
    assert monitor.version == VERSION


def test_a_reference_from_a_file(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_bytes(to_json(made(table())))
    monitor = catwalk.PredictionMonitor("churn", reference=path, version="v7", registry=registry)
    assert monitor.version == "v7"


def test_what_is_refused(registry: CollectorRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = made(table())
    catwalk.PredictionMonitor("churn", reference=good, registry=registry)
    with pytest.raises(ConfigError, match="has a monitor in this registry already"):
        catwalk.PredictionMonitor("churn", reference=good, registry=registry)
    with pytest.raises(ConfigError, match="is of model churn, not of other"):
        catwalk.PredictionMonitor("other", reference=good, registry=registry)
    with pytest.raises(ConfigError, match="it has version 2"):
        catwalk.PredictionMonitor("churn", reference=replace(good, schema=2), registry=CollectorRegistry())
    monkeypatch.setenv("CATWALK_STORE", tmp_path.as_uri())
    with pytest.raises(NotFoundError, match="has no champion yet"):
        catwalk.PredictionMonitor("churn", registry=CollectorRegistry())


def test_a_model_has_one_spelling_however_it_is_typed(registry: CollectorRegistry) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    catwalk.PredictionMonitor(decomposed, reference=replace(made(table()), model=composed), registry=registry)
    with pytest.raises(ConfigError, match="has a monitor in this registry already"):
        catwalk.PredictionMonitor(composed, reference=replace(made(table()), model=decomposed), registry=registry)


def test_two_models_share_a_registry(monitor: Any, registry: CollectorRegistry) -> None:
    other = replace(made(table()), model="demand", run_id="b")
    catwalk.PredictionMonitor("demand", reference=other, registry=registry)
    series = scrape(registry)
    assert series["catwalk_service_info", VERSION] == series["catwalk_service_info", "b"] == 1
