"""Stages on a real S3 server: what they write, what a retry changes, and how each failure shows."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load, save

from catwalk.errors import ArtifactError, CatwalkError, DatasetError, NonFiniteLossError, PreconditionFailedError
from catwalk.gate.promotion import promote
from catwalk.ledger.models.champion import Champions, verified_model
from catwalk.ledger.records.run import STAGES
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.decide import decide
from catwalk.stages.ingest import ingest
from catwalk.stages.lifecycle.attempts import attempt
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS, run_stages
from catwalk.stages.publish import publish
from catwalk.stages.test import test
from catwalk.stages.train import train
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, RunConfig
from tests.catwalk.report.conftest import FIGURES
from tests.support.runs import SMALL, Recorder, decided, model, snapshot, stage_process

pytestmark = pytest.mark.integration
score = test
del test  # pytest would take the stage for a test


@pytest.fixture
def finished(new_run: Callable[..., Run]) -> Run:
    return decided(new_run())


def test_a_whole_run_stores_everything_that_the_design_promises(new_run: Callable[..., Run]) -> None:
    run, observer = new_run(), Recorder()
    run_stages(run, observer)
    names = {entry.key.removeprefix(run.key("")) for entry in run.store.list(run.key(""))}
    assert names == {
        "run.json",
        "dataset.json",
        "epochs.json",
        "model.safetensors",
        "predictions.safetensors",
        "previews.safetensors",
        "evaluation.json",
        "reference.json",
        "decision.json",
        "report.html",
        *(f"figures/{name}.png" for name in FIGURES),
        *(f"attempts/{stage}-1.json" for stage in STAGES),
    }
    epochs = [f"epoch {number}" for number in range(1, 5)]
    ended = [f"{stage} succeeded" for stage in ("train", "test", "decide", "publish")]
    assert observer.calls == [*epochs, ended[0], "test", *ended[1:], "resend"]
    summary, evaluation = run.summary(), run.evaluation()
    assert summary is not None
    assert evaluation is not None
    assert (summary.state, summary.epochs, summary.test_accuracy) == ("succeeded", 4, evaluation.accuracy)
    assert summary.model == "mlp-synthetic"
    assert summary.synthetic
    dataset = run.dataset()
    assert dataset is not None
    for named in (run.record, dataset, evaluation, summary):
        assert named.classes == list(CLASSES)
    assert summary.statistics == dataset.statistics
    assert set(dataset.statistics) == {"pixel_mean", "pixel_stddev"}
    for record in run.attempts():
        assert record.outcome == "succeeded"
        assert record.peak_memory_bytes is not None
        assert record.peak_memory_bytes > 1e7
    predictions = load(run.store.get(run.key("predictions.safetensors")).body)
    assert predictions["logits"].shape == (10_000, 10)
    right = (predictions["logits"].argmax(1) == predictions["labels"]).double().mean()
    assert evaluation.accuracy == pytest.approx(float(right))


def test_stages_that_have_finished_change_nothing_when_run_again(finished: Run) -> None:
    before = snapshot(finished)
    for stage in STAGES[:-1]:
        STAGE_FUNCTIONS[stage](Run(finished.store, finished.run_id), Silent())
    assert snapshot(finished) == before


def test_stages_out_of_order_say_what_comes_first(ledger: Ledger) -> None:
    run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(SMALL), "cli")
    for stage, message in ((train, "run ingest before train"), (score, "run train before test")):
        with pytest.raises(ArtifactError, match=message):
            stage(run, Silent())
    with pytest.raises(ArtifactError, match="run test before decide"):
        decide(run, Silent())


def test_a_failed_stage_makes_a_failed_run_and_is_named(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_DATASET_ROOT", "nowhere")
    knobs = {**SMALL, "source": "fashion-mnist"}
    run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(knobs), "cli")
    observer = Recorder()
    with pytest.raises(DatasetError, match="CATWALK_DATASET_ROOT=nowhere"):
        run_stages(run, observer)
    summary = run.summary()
    assert summary is not None
    assert summary.state == "failed"
    assert "CATWALK_DATASET_ROOT=nowhere" in summary.error
    assert summary.finished is not None
    assert observer.calls == ["ingest failed", "publish succeeded", "resend"]


def test_secrets_in_the_error_of_a_stage_are_not_stored(new_run: Callable[..., Run]) -> None:
    """A Trainable's error may show how it tried to reach its data."""
    run = new_run()
    with pytest.raises(OSError, match="p1"), attempt(run, "ingest", Silent()):
        raise OSError("no answer of postgres://me:p1/p2@host/db with password='p3', depth=3")
    publish(run, Silent())
    stored = [run.store.get(entry.key).body for entry in run.store.list("")]
    assert not [body for body in stored if re.search(rb"p1/p2|'p3'", body)]
    assert len([body for body in stored if b"depth=3" in body]) >= 2, "of the attempt and of the summary"


def test_a_killed_stage_is_called_killed(new_run: Callable[..., Run]) -> None:
    run = new_run()
    stage_process(run, "train", "epochs.json", "2", "after").communicate(timeout=300)
    publish(run, Silent())
    summary = run.summary()
    assert summary is not None
    assert summary.state == "failed"
    assert summary.error == "train was killed in attempt 1, without an error message"
    train(run, Silent())  # cleared and run again: it is running, and no longer failed
    summary = run.summary()
    assert summary is not None
    assert (summary.state, summary.finished, summary.stages["train"].attempts) == ("running", None, 2)


def test_a_run_that_trained_longer_than_announced_reports_what_prometheus_lacks(finished: Run) -> None:
    record = finished.record
    shorter = RunConfig.from_flat({**SMALL, "epochs": 1}).to_dict()
    limited = dataclasses.replace(record, config=shorter, planned_epochs=1, series_budget=1_000)
    finished.store.put_record(finished.key("run.json"), limited)
    publish(Run(finished.store, finished.run_id), Recorder())
    summary = finished.summary()
    assert summary is not None
    assert (summary.epochs, summary.series_left_out) == (4, 3 * 19)


def test_publish_has_nothing_to_do_for_a_run_that_was_never_opened(ledger: Ledger) -> None:
    observer = Recorder()
    publish(ledger.run(new_run_id()), observer)
    assert observer.calls == []


def test_a_loss_that_is_not_finite_is_recorded_sent_and_fails_the_run(new_run: Callable[..., Run]) -> None:
    run, observer = new_run(peak_learning_rate=1e6), Recorder()
    with pytest.raises(NonFiniteLossError):
        run_stages(run, observer)
    training, summary = run.training(), run.summary()
    assert training is not None
    assert summary is not None
    assert not math.isfinite(training.epochs[-1].validation_loss)
    assert f"epoch {len(training.epochs)}" in observer.calls
    assert summary.state == "failed"
    assert "lower peak_learning_rate" in summary.error
    assert not training.finished


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._marker,)


def test_a_malicious_pickle_in_place_of_the_model_is_refused_and_never_run(
    new_run: Callable[..., Run], tmp_path: Path
) -> None:
    run, marker = new_run(), tmp_path / "executed"
    train(run, Silent())
    bomb = pickle.dumps(Bomb(marker))
    run.store.put(run.key("model.safetensors"), bomb)
    with pytest.raises(ArtifactError, match=r"differs from its record .* is not loaded"):
        score(run, Silent())
    assert not marker.exists()
    pickle.loads(bomb)
    assert marker.exists()  # the bomb was live


def test_a_tampered_model_is_refused_by_its_sha256(finished: Run) -> None:
    tensors = load(model(finished))
    tensors["layers.0.bias"][0] += 1
    finished.store.put(finished.key("model.safetensors"), save(tensors))
    with pytest.raises(ArtifactError, match="changed or damaged"):
        verified_model(finished)
    champions = Champions(finished.store)
    with pytest.raises(ArtifactError, match="changed or damaged"):
        promote(finished, champions.get(finished.record.model), "me", "because")


def test_a_missing_model_is_one_line(finished: Run) -> None:
    finished.store.delete(finished.key("model.safetensors"))
    with pytest.raises(ArtifactError, match=r"is missing from the store; train a new run") as caught:
        verified_model(finished)
    assert "\n" not in str(caught.value)


def test_a_model_that_reaches_the_floor_becomes_champion_and_one_below_does_not(new_run: Callable[..., Run]) -> None:
    good, bad = new_run(), new_run(accuracy_floor=1.0)
    for run in (good, bad):
        decided(run)
    champion = Champions(good.store).get("mlp-synthetic")
    assert champion is not None
    assert champion[0].run_id == good.run_id
    assert champion[0].model_sha256 == hashlib.sha256(model(good)).hexdigest()
    decision = bad.decision()
    assert decision is not None
    assert (decision.decision, decision.reason, decision.champion) == ("hold", "floor", good.run_id)
    assert "is below the floor of 100.00%" in decision.sentence
    first = good.decision()
    assert first is not None
    assert (first.split_decisions, decision.split_decisions) == (1, 2)


def test_the_next_champion_remembers_the_previous_and_the_best_one(new_run: Callable[..., Run]) -> None:
    runs = [new_run(), new_run(epochs=8)]
    for run in runs:
        decided(run)
    found = Champions(runs[0].store).get("mlp-synthetic")
    assert found is not None
    scores = {run.run_id: evaluation.accuracy for run in runs if (evaluation := run.evaluation())}
    assert (found[0].run_id, found[0].previous) == (runs[1].run_id, runs[0].run_id)
    assert scores[found[0].anchor] == max(scores.values())


def test_a_decision_against_a_champion_that_is_gone_is_repeated(finished: Run, new_run: Callable[..., Run]) -> None:
    champions = Champions(finished.store)
    seen = champions.get("mlp-synthetic")
    other = decided(new_run(epochs=8))
    with pytest.raises(PreconditionFailedError):
        promote(finished, seen, "late", "too late")
    found = champions.get("mlp-synthetic")
    assert found is not None
    assert found[0].run_id == other.run_id


def test_a_decision_that_was_interrupted_after_promotion_ends_the_same(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for stage in (train, score):
        stage(run, Silent())
    process = stage_process(run, "decide", "mlp-synthetic.json", "1", "after")
    process.communicate(timeout=300)
    before = Champions(run.store).get("mlp-synthetic")
    assert before is not None
    assert run.decision() is None
    decide(run, Silent())
    decision = run.decision()
    assert decision is not None
    assert (decision.decision, decision.split_decisions) == ("ship", 1)
    assert Champions(run.store).get("mlp-synthetic") == before


def test_a_model_without_a_test_is_never_promoted(new_run: Callable[..., Run]) -> None:
    run = new_run()
    train(run, Silent())
    with pytest.raises(CatwalkError, match="was never tested"):
        promote(run, None, "me", "because")


def test_ingest_says_what_it_found(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(SMALL), "cli")
    with caplog.at_level("INFO", logger="catwalk"):
        ingest(run, Silent())
    assert "train: 500 examples, by class [50, 50, 50, 50, 50, 50, 50, 50, 50, 50]" in caplog.text
