from __future__ import annotations

import re
from typing import Any

import pytest

from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import METRICS, Metric


def test_names_and_wire_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({metric.wire for metric in METRICS}) == len(METRICS)
    negative = {metric.wire_negative for metric in METRICS if metric.signed}
    assert len(negative) == 5
    assert negative.isdisjoint(metric.wire for metric in METRICS)


@pytest.mark.parametrize("name", ["EPOCH_LOSS", "MODEL_ACCURACY", "GATE_CHECK", "CHAMPION_INFO", "CANARY_SENT"])
def test_constants_are_in_the_catalogue(name: str) -> None:
    declared: Metric = getattr(catalogue, name)
    assert catalogue.metric(declared.name) is declared


@pytest.mark.parametrize(
    ("metric", "wire"),
    [
        (catalogue.EPOCH_LOSS, "ml.epoch.loss"),
        (catalogue.EPOCH_CLASS_ACCURACY, "ml.epoch.class_accuracy_ratio"),
        (catalogue.STORE_OPERATION_DURATION, "ml.store.operation_duration"),
        (catalogue.STORE_ERRORS, "ml.store.errors"),
        (catalogue.CANARY_RECEIVED, "catwalk.canary.received"),
    ],
)
def test_wire_names(metric: Metric, wire: str) -> None:
    assert metric.wire == wire


def test_what_a_run_sends_names_the_run_and_its_model_and_expires() -> None:
    of_runs = [metric for metric in catalogue.by_transport("statsd") if metric.kind == "gauge"]
    assert len(of_runs) == 22
    for metric in of_runs:
        assert metric.labels[:2] == ("run_id", "model")
        assert metric.ttl_seconds == 3_600


def test_no_label_names_a_step() -> None:
    """A series for each step would be a series for each batch: tens of thousands for each run."""
    assert not [metric.name for metric in METRICS if set(metric.labels) & {"step", "batch"}]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "ml.epoch.loss"}, "lower-case words"),
        ({"name": "ml_events", "kind": "counter"}, "end in _total"),
        ({"name": "ml_gauge_total", "kind": "gauge"}, "end in _total"),
        ({"name": "ml_run_facts", "kind": "info"}, "end in _info"),
        ({"name": "ml_epoch_duration", "unit": "seconds"}, "unit is seconds"),
        ({"name": "ml_epoch_duration_seconds"}, "not declared"),
        ({"name": "ml_epoch_duration_ms"}, "not a base unit"),
        ({"name": "ml_test_percent"}, "not a base unit"),
        ({"name": "ml_store_requests_count"}, "parts of a histogram"),
        ({"help": "No full stop"}, "sentence"),
        ({"labels": ("x",)}, "two characters"),
        ({"labels": ("job",)}, "reserved by Prometheus"),
        ({"labels": ("class", "class")}, "twice"),
        ({"buckets": (1.0,)}, "histograms"),
        ({"name": "ml_wait_seconds", "unit": "seconds", "kind": "histogram"}, "histograms"),
        ({"name": "ml_x_total", "kind": "counter", "ttl_seconds": 60}, "restart at 0"),
        ({"name": "ml_x_total", "kind": "counter", "signed": True}, "negative values"),
        ({"transport": "exporter", "signed": True}, "negative values"),
    ],
)
def test_bad_declarations_are_refused_by_name(changes: dict[str, Any], complaint: str) -> None:
    good = {"name": "ml_epoch_loss", "transport": "statsd", "kind": "gauge", "help": "A loss."}
    with pytest.raises(ValueError, match=re.escape(complaint)) as refused:
        Metric(**{**good, **changes})
    assert changes.get("name", "ml_epoch_loss") in str(refused.value)
