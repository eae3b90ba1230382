"""Records survive JSON, including numbers that JSON lacks."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
from dataclasses import replace

import pytest

from catwalk.codec import from_json, many_records, to_json
from catwalk.ledger.records.dataset import DatasetRecord, SplitStatistics
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import StageSummary, SummaryRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from ml.fashion_mnist.config import RunConfig

EPOCH = EpochRecord(1, 0.5, 0.8, 0.6, 0.7, [0.1] * 10, 0.1, 1.5, 2.0, 100.0, 1_000.0)


def test_a_run_record_survives_a_round_trip() -> None:
    record = RunRecord("r", "mlp", "cli", RunConfig().to_dict(), 1, "c", 2.0, False, versions={"torch": "2"})
    assert from_json(RunRecord, to_json(record)) == record


def test_a_run_of_another_model_is_read_with_any_settings() -> None:
    config = {"forest": {"trees": 300, "epochs": "all"}, "note": "no section", "empty": {}}
    record = RunRecord("r", "churn", "cli", config, 1, "c", 2.0, False, classes=["stays", "leaves"])
    read = from_json(RunRecord, to_json(record))
    assert read == record
    assert read.parameters == {"trees": 300, "epochs": "all", "note": "no section"}
    assert read.epochs == 0
    assert replace(record, config={"training": {"epochs": 7}}).epochs == 7


def test_nan_and_infinity_travel_as_valid_json() -> None:
    record = TrainingRecord(1, [replace(EPOCH, train_loss=math.nan, validation_loss=math.inf, gradient_norm=-math.inf)])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = to_json(record)
    json.loads(text, parse_constant=refuse)
    epoch = from_json(TrainingRecord, text).epochs[0]
    assert math.isnan(epoch.train_loss)
    assert (epoch.validation_loss, epoch.gradient_norm) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("stored", "statistics"),
    [
        ({"pixel_mean": 0.28, "pixel_stddev": 0.35}, {"pixel_mean": 0.28, "pixel_stddev": 0.35}),
        ({"pixel_mean": None, "pixel_stddev": None}, {}),
        ({}, {}),
        ({"pixel_mean": 9.0, "statistics": {"words": 12}}, {"words": 12.0}),
    ],
)
def test_statistics_of_older_records_are_read_by_their_names(
    stored: dict[str, object], statistics: dict[str, float]
) -> None:
    dataset = DatasetRecord("d", "fashion-mnist", False, {"train": SplitStatistics(4, [1, 3])}, {"train": "f"})
    values = {name: value for name, value in json.loads(to_json(dataset)).items() if name != "statistics"}
    assert from_json(DatasetRecord, json.dumps(values | stored).encode()) == replace(dataset, statistics=statistics)


SUMMARY = SummaryRecord("r", "mlp", "cli", False, "", "", "", 1, {}, "running", 1.0, 2.0)


@pytest.mark.parametrize(
    ("stored", "stages"),
    [
        (
            {
                "attempts": {"ingest": 1, "train": 2},
                "stage_seconds": {"ingest": 3, "train": 40.5},
                "stage_started": {"ingest": 10.0, "train": 20.0},
                "stage_ended": {"ingest": 13.0},
            },
            {"ingest": StageSummary(1, 3.0, 10.0, 13.0), "train": StageSummary(2, 40.5, 20.0)},
        ),
        ({"attempts": {"ingest": 1}}, {"ingest": StageSummary(1)}),
        ({}, {}),
        ({"attempts": {"ingest": 1}, "stages": {"train": {"attempts": 2}}}, {"train": StageSummary(2)}),
        ({"attempts": "of a newer version", "stages": {}}, {}),
    ],
)
def test_stages_of_older_summaries_are_read_from_their_four_fields(
    stored: dict[str, object], stages: dict[str, StageSummary]
) -> None:
    values = {name: value for name, value in json.loads(to_json(SUMMARY)).items() if name != "stages"}
    assert from_json(SummaryRecord, json.dumps(values | stored).encode()) == replace(SUMMARY, stages=stages)


@pytest.mark.parametrize(
    "stored",
    [
        {"attempts": {"train": "two"}},
        {"attempts": ["train"]},
        {"attempts": None},
        {"stage_seconds": 1.0},
        {"stages": {"train": []}},
        {"stages": {"train": {"attempts": 1.5}}},
    ],
)
def test_stages_of_another_type_are_damage(stored: dict[str, object]) -> None:
    values = {name: value for name, value in json.loads(to_json(SUMMARY)).items() if name != "stages"}
    with pytest.raises(ValueError, match=r"."):
        from_json(SummaryRecord, json.dumps(values | stored).encode())


def test_fields_of_a_newer_version_are_ignored() -> None:
    values = json.loads(to_json(TrainingRecord(1, [EPOCH]))) | {"invented": 1}
    assert from_json(TrainingRecord, json.dumps(values).encode()) == TrainingRecord(1, [EPOCH])


DECISION = DecisionRecord("ship", "first", "Ship.", [], "", "m", 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"sentence": 5},
        {"split_decisions": "2"},
        {"split_decisions": True},
        {"finished": [1]},
        {"finished": 10**400},
        {"checks": 5},
        {"checks": [5]},
        {"checks": None},
    ],
)
def test_a_value_of_another_type_is_damage(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(DecisionRecord, json.dumps(json.loads(to_json(DECISION)) | changes).encode())


def test_a_value_that_only_a_newer_version_knows_is_none() -> None:
    text = json.dumps(json.loads(to_json(DECISION)) | {"decision": "shadow"}).encode()
    assert from_json(DecisionRecord, text).decision == "shadow"


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"nonsense", b'{"decision": 1', b"null", b"[" * 100_000, b"\xff", b'{"a": "\xff"}']
)
def test_damaged_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(DecisionRecord, text)


def test_the_best_epoch_has_the_lowest_finite_validation_loss() -> None:
    epochs = [replace(EPOCH, epoch=n, validation_loss=loss) for n, loss in enumerate((0.5, 0.3, 0.4, math.nan), 1)]
    best = TrainingRecord(1, epochs).best
    assert best is not None
    assert best.epoch == 2
    assert TrainingRecord(1, [replace(EPOCH, validation_loss=math.nan)]).best is None


@dataclasses.dataclass(frozen=True)
class Several:
    floats: list[float]
    words: list[str]
    counts: dict[str, int]


def test_values_of_one_type_are_taken_as_they_are_and_all_others_are_checked() -> None:
    """Most lists and dicts of a record hold a single type, and thousands of records are read at once."""

    def read(floats: str = "[1.5]", words: str = '["a"]', counts: str = '{"a": 1}') -> Several:
        return from_json(Several, f'{{"floats": {floats}, "words": {words}, "counts": {counts}}}'.encode())

    assert read() == Several([1.5], ["a"], {"a": 1})
    assert [type(value) for value in read(floats='[1, 1.5, "Infinity"]').floats] == [float] * 3
    assert read("[]", "[]", "{}") == Several([], [], {})
    for wrong in ({"floats": '["x"]'}, {"words": '["a", 1]'}, {"counts": '{"a": true}'}, {"counts": "[1]"}):
        with pytest.raises(ValueError, match=r"."):
            read(**wrong)


def test_garbage_collection_is_on_again_after_many_records() -> None:
    with many_records():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="JSON"), many_records():
        from_json(Several, b"[]")
    assert gc.isenabled()
