"""Test examples that roll on: the champion is compared on today's examples, the anchor on its own, until it is
stale.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from catwalk.errors import ArtifactError, DamagedError
from catwalk.gate.anchor import may_replace
from catwalk.gate.baselines import dataset_of, incumbents, on_own_test
from catwalk.gate.exposures import count_decision
from catwalk.ledger.examples import row_digests, split_body
from catwalk.ledger.models.champion import Champions, Current
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.ledger.records.exposure import ExposureRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.storage.file_store import FileStore
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.support.small import SMALL

GOOD: dict[str, Any] = {
    **SMALL, "source": "synthetic-feed", "seed": 5, "train_examples": 2_000, "epochs": 6, "feed_days": 300,
    "drifts": "2026-01-10 label-noise 0.8", "margin": 0.3, "significance": 1e-300, "accuracy_floor": 0,
    "class_significance": 1e-300,
}  # fmt: skip
"""Settings with a gate that calls no model better or worse, and two models equally good if they differ by less than
0.3.
"""
POOR = {**GOOD, "epochs": 3}
MODEL = "mlp-synthetic-feed"


@pytest.fixture
def ledger(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    return Ledger(FileStore((tmp_path / "ledger").as_uri()))


def at(ledger: Ledger, as_of: str, stages: tuple[Any, ...], **knobs: Any) -> Run:
    """Runs a run as of a day, up to a stage."""
    run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat({**GOOD, "as_of": as_of, **knobs}), "cli")
    for stage in stages:
        STAGE_FUNCTIONS[stage](run, Silent())
    return run


def night(ledger: Ledger, as_of: str, knobs: dict[str, Any]) -> tuple[Run, DecisionRecord]:
    """Runs a run as of a day, and its decision."""
    run = at(ledger, as_of, ("ingest", "train", "test", "decide"), **knobs)
    decision = run.decision()
    assert decision
    return run, decision


def current(ledger: Ledger) -> Current:
    found = Champions(ledger.store).get(MODEL)
    assert found
    return found


def check(decision: DecisionRecord, name: str) -> CheckRecord:
    return next(entry for entry in decision.checks if entry.check == name)


def outcome(decision: DecisionRecord) -> tuple[str, str]:
    return decision.decision, decision.reason


def test_a_year_in_four_nights(ledger: Ledger) -> None:
    """The anchor is compared on its own examples. Once the incoming data has changed, it is stale. It then holds
    models that are only as good, and is replaced by a run with its settings.
    """
    best, first = night(ledger, "2026-01-05", GOOD)
    assert outcome(first) == ("ship", "first")

    poorer, second = night(ledger, "2026-01-06", POOR)
    assert outcome(second) == ("ship", "newer_data"), second.sentence
    assert (current(ledger)[0].run_id, current(ledger)[0].anchor) == (poorer.run_id, best.run_id), "on its own test"

    third_run, third = night(ledger, "2026-01-08", POOR)
    assert check(third, "anchor_fresh").verdict == "passed"
    assert check(third, "not_inferior_anchor").value == pytest.approx(on_test_of(third_run, best))
    assert outcome(third) == ("ship", "newer_data"), third.sentence

    _, held = night(ledger, "2026-10-20", POOR)
    assert check(held, "anchor_fresh").verdict == "failed"
    assert outcome(held) == ("hold", "anchor_stale"), held.sentence
    assert (
        "it is stale, so until a newly trained model with its settings replaces it, only better models ship"
        in held.sentence
    )
    assert not [entry for entry in held.checks if entry.check == "not_inferior_anchor"], "its examples tell nothing"
    assert current(ledger)[0].anchor == best.run_id, "other settings than the anchor's"

    again, heir = night(ledger, "2026-10-21", GOOD)
    assert outcome(heir) == ("hold", "anchor_stale")
    assert (current(ledger)[0].anchor, current(ledger)[0].previous_anchor) == (again.run_id, best.run_id)
    assert current(ledger)[0].run_id == third_run.run_id, "which says nothing about the version in service"
    assert incumbents(again, current(ledger)[0])["anchor"] == best.run_id, "an interrupted decision finds the same"

    _, last = night(ledger, "2026-10-22", POOR)
    assert check(last, "anchor_fresh").verdict == "passed"
    assert outcome(last) == ("ship", "newer_data"), last.sentence


def test_a_stale_anchor_of_an_older_version_is_replaced_by_a_run_with_its_settings(ledger: Ledger) -> None:
    """It lacks settings that did not exist yet."""
    best, _ = night(ledger, "2026-01-05", GOOD)
    night(ledger, "2026-01-06", POOR)
    training = {name: value for name, value in best.record.config["training"].items() if name not in NEWER}
    record = replace(best.record, config={**best.record.config, "training": training})
    ledger.store.put_record(best.key("run.json"), record)
    again, heir = night(ledger, "2026-10-21", GOOD)
    assert check(heir, "anchor_fresh").verdict == "failed"
    assert current(ledger)[0].anchor == again.run_id


NEWER = ("label_smoothing", "shift", "precision")


def on_test_of(run: Run, anchor: Run) -> float:
    """Returns how much more accurate a run is than an anchor on the anchor's test examples, measured here."""
    arrays = load(split_body(run.store, dataset_of(anchor), "test"))
    right = []
    for one in (run, anchor):
        config = RunConfig.from_dict(one.record.config)
        predict = CLASSIFIER.predictor(config, one.store.get(one.key("model.safetensors")).body)
        right.append(float((predict(arrays).argmax(axis=1) == arrays["labels"]).mean()))
    return right[0] - right[1]


def test_examples_that_a_challenger_was_trained_on_are_left_out_of_the_anchors_test(ledger: Ledger) -> None:
    """A feed's test examples stay test examples forever; a Trainable may draw them again each time."""
    tested = at(ledger, "2026-01-05", ("ingest", "train", "test"), train_examples=200, epochs=1)
    run = at(ledger, "2026-01-06", ("ingest", "train", "test"), train_examples=200, epochs=1)
    whole = on_own_test(run, tested)
    assert whole.own and whole.predicted is not None
    rows = row_digests(load(split_body(run.store, dataset_of(tested), "test")))
    assert len(whole.own.labels) == len(rows), "the challenger was trained on none of them"
    seen = set(rows[10:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catwalk.gate.baselines.training_examples", lambda store, dataset: seen)
        left = on_own_test(run, tested)
        assert left.own and np.array_equal(left.own.labels, whole.own.labels[:10])
        patch.setattr("catwalk.gate.baselines.training_examples", lambda store, dataset: set(rows))
        with pytest.raises(ArtifactError, match=f"has learnt from all test examples of run {tested.run_id}"):
            on_own_test(run, tested)


def test_decisions_are_counted_by_the_examples_that_make_them(ledger: Ledger) -> None:
    """Each day has another split, of nearly the same examples."""
    days = ("2026-01-05", "2026-01-06", "2026-02-20", "2026-02-20")
    runs = [at(ledger, day, ("ingest",)) for day in days]
    assert len({dataset_of(run).files["test"] for run in runs}) == 3
    counts = [count_decision(run, dataset_of(run)) for run in runs]
    assert counts == [1, 2, 3, 4]
    assert count_decision(runs[1], dataset_of(runs[1])) == 4, "a retry counts once"
    key = f"exposures/{MODEL}/counts.json"
    known, _ = ledger.store.get_record(ExposureRecord, key)
    assert known.runs == [run.run_id for run in runs]
    assert set(known.counts.values()) == {1, 2, 3, 4}, "an example that has come or gone was used in fewer decisions"
    far = at(ledger, "2026-10-28", ("ingest",))
    assert count_decision(far, dataset_of(far)) == 1, "all of its examples are new"
    ledger.store.put(key, b"{")
    with pytest.raises(DamagedError, match="delete it to restart the count"):
        count_decision(far, dataset_of(far))


def test_counts_by_split_of_an_older_version_continue(ledger: Ledger) -> None:
    run = at(ledger, "2026-01-05", ("ingest",))
    dataset = dataset_of(run)
    for run_id in ("20250101T030000Z-00000001", "20250102T030000Z-00000002", run.run_id):
        ledger.store.put(f"test_splits/{dataset.files['test']}/decided/{run_id}", b"")
    assert count_decision(run, dataset) == 3


SETTINGS = {"training": {"epochs": 6, "seed": 5}, "data": {"as_of": "2026-01-05"}, "gate": {"margin": 0.005}}


@pytest.mark.parametrize(
    ("config", "as_of", "reason", "may"),
    [
        (SETTINGS, "2026-02-04", "anchor_stale", True),
        (SETTINGS, "2026-02-03", "anchor_stale", False),
        ({**SETTINGS, "training": {"epochs": 6, "seed": 7}, "gate": {}}, "2026-02-04", "better", True),
        ({**SETTINGS, "data": {"as_of": "2026-02-04"}}, "2026-02-04", "no_better", True),
        ({**SETTINGS, "training": {"epochs": 5, "seed": 5}}, "2026-02-04", "anchor_stale", False),
        *((SETTINGS, "2026-02-04", reason, False) for reason in ("floor", "calibration", "precondition")),
    ],
)
def test_a_stale_anchor_is_replaced_by_a_run_with_its_settings_a_month_later(
    config: dict[str, Any], as_of: str, reason: str, may: bool, run_record: RunRecord
) -> None:
    anchor = replace(run_record, config=SETTINGS)
    data = DatasetRecord("d", "feed", False, {}, {}, as_of="2026-01-05")
    assert may_replace(replace(run_record, config=config), replace(data, as_of=as_of), anchor, data, reason) is may
