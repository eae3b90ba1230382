"""Runs that another model wrote: unknown sections, other classes, and our knobs with values of another kind."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.dataset import DatasetRecord, SplitStatistics
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.summary import StageSummary
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.ledger.runs import Run
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from tests.monitoring.exporter.test_exposition import rendered, value
from tests.support.commands import catwalk
from tests.support.views import facts_of

__all__ = ["catwalk"]

pytestmark = pytest.mark.integration

FIRST, SECOND = "20261122T030000Z-00000001", "20261123T030000Z-00000002"
CLASSES = ["stays", "goes, at once", "戻る"]
CONFIG: dict[str, Any] = {
    "forest": {"trees": 300, "criterion": "gini", "features": ["age", "plan"], "bounds": {"age": [18, 99]}},
    "training": {"epochs": "until it is good", "dropout": {"rate": 0.5}, "seed": None},
    "data": ["a section that doesn't exist"],
    "note": "in no section",
}
WEIGHTS = b"trees"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
ENDED = time.time() - 600
PARAMETERS = "trees=300 criterion=gini features=age,plan bounds={'age': [18, 99]} epochs=until it is good"


@pytest.fixture
def runs(s3_store: Store) -> list[Run]:
    return [shipped(s3_store, FIRST, 0.8), shipped(s3_store, SECOND, 0.9)]


def shipped(store: Store, run_id: str, accuracy: float) -> Run:
    """A scheduled run that has shipped; its run.json has unknown fields."""
    run = Run(store, run_id)
    record = RunRecord(run_id, "churn", "schedule", CONFIG, 7, "c" * 64, ENDED - 100, False, classes=CLASSES)
    store.put_record(run.key("run.json"), record)
    values = json.loads(store.get(run.key("run.json")).body) | {"trainable": "churn.model:FOREST", "schema": [9]}
    store.put(run.key("run.json"), json.dumps(values).encode())
    store.put(run.key("model.safetensors"), WEIGHTS)
    rates, confusion = [accuracy] * 3, [[9, 1, 0], [0, 9, 1], [1, 0, 9]]
    epoch = EpochRecord(1, 0.5, 0.9, 0.6, 0.9, rates, 0.1, 2.0, 1.5, 100.0, ENDED - 50)
    splits = {split: SplitStatistics(30, [10, 10, 10]) for split in ("train", "validation", "test")}
    evaluation = EvaluationRecord(
        SHA256, "d" * 64, 30, accuracy, 0.3, 0.02, rates, rates, rates, confusion, 0.1, ENDED, CLASSES
    )
    for name, one in {
        "dataset.json": DatasetRecord("d" * 64, "crm", False, splits, {}, CLASSES, {"age_mean": 41.5}),
        "epochs.json": TrainingRecord(1, [epoch], model_sha256=SHA256, model_bytes=len(WEIGHTS)),
        "evaluation.json": evaluation,
        "decision.json": DecisionRecord("ship", "first", "Ship: it is good.", [], "", SHA256, ENDED),
        "attempts/train-1.json": AttemptRecord("train", 1, ENDED - 90, "here", 1, ENDED, "succeeded"),
    }.items():
        store.put_record(run.key(name), one)
    run.update_summary(
        lambda summary: replace(
            summary,
            state="succeeded",
            updated=ENDED,
            finished=ENDED,
            stages={"train": StageSummary(1, 90.0, ENDED - 90, ENDED)},
            test_accuracy=accuracy,
            test_class_accuracy=rates,
            decision="ship",
            decided=ENDED,
        )
    )
    return run


def test_the_command_line_reads_them(runs: list[Run], catwalk: Any, tmp_path: Path) -> None:
    for arguments, expected in (
        (["runs"], SECOND),
        (["runs", "--csv"], "until it is good"),
        (["runs", "--where", "dropout ~ 0.5", "--sort", "-dropout"], FIRST),
        (["runs", "--by", "recipe"], SECOND),
        (["show", FIRST], PARAMETERS),
        (["show", FIRST], "戻る (1)"),
        (["report", FIRST], "report.html"),
        (["compare", FIRST, SECOND, "--out", str(tmp_path)], "All runs have the same parameters"),
        (["replay", FIRST, "--out", str(tmp_path)], f"34 points of run {FIRST} written"),
        (["migrate"], "churn: 2 runs, 2 up to date already"),
        (["promote", SECOND, "--reason", "it is good", "--by", "ada"], f"run {SECOND} is in service"),
        (["prune", "--keep", "0", "--dry-run"], f"would remove {FIRST} (1 of 1)"),
    ):
        done = catwalk(*arguments)
        assert (done.code, done.err) == (0, ""), arguments
        assert expected in " ".join(done.out.split()), arguments
    assert catwalk("show", FIRST, "--json").json()["run"]["config"] == CONFIG
    report = runs[0].store.get(runs[0].key("report.html")).body.decode()
    assert "until it is good" in report and "goes, at once" in report
    found = Champions(runs[0].store).get("churn")
    assert found and (found[0].run_id, found[0].anchor) == (SECOND, SECOND)


def test_code_that_has_to_build_such_a_model_refuses_in_one_line(runs: list[Run], catwalk: Any) -> None:
    done = catwalk("run", "--run-id", FIRST)
    assert done.code == 1
    assert done.err.count("\n") == 1 and "belongs to churn.model:FOREST" in done.err


def test_the_exporter_reads_them(runs: list[Run]) -> None:
    found: list[Snapshot] = []
    LedgerReader(runs[0].store).read(time.time(), found.append)
    assert found[-1].damaged == {}
    assert found[-1].points == {FIRST: 34, SECOND: 34}
    series = rendered(*found[-1].summaries)
    assert value(series, catalogue.RUN_PARAMETER, run_id=FIRST, name="trees") == 300
    assert value(series, catalogue.RUN_SETTING, run_id=FIRST, name="epochs", value="until it is good") == 1
    assert value(series, catalogue.MODEL_CLASS_ACCURACY, role="latest", class_="goes%2C at once") == 0.9
    assert "until it is good" in facts_of(found[-1].summaries[0], time.time())
