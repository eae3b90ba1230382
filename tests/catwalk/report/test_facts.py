"""Reports of real runs on a real S3: what publish stores, and what remains if objects are missing or damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save

from catwalk.codec import to_json
from catwalk.errors import NonFiniteLossError, NotFoundError, StoreUnavailableError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.report.build import build
from catwalk.report.comparison.differences import compare
from catwalk.report.facts import Facts, Part, read_facts
from catwalk.stages.artifacts import reports
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import run_stages
from catwalk.stages.publish import publish
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Patience
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.catwalk.report.conftest import FIGURES, check_page
from tests.support.runs import SMALL, snapshot
from tests.support.servers import ENVIRONMENT, S3Server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def module_ledger(s3_server: S3Server, stand_in: Path) -> Iterator[Ledger]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3_server.url}.items():
            patch.setenv(name, value)
        patch.setenv("CATWALK_HOME", str(stand_in))
        yield Ledger(S3Store(f"s3://{s3_server.bucket()}"))


def start(ledger: Ledger, **knobs: Any) -> Run:
    return open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat({**SMALL, **knobs}), "cli")


@pytest.fixture(scope="module")
def run(module_ledger: Ledger) -> Run:
    """A run with a decision against a champion."""
    first = start(module_ledger, epochs=2)
    run_stages(first, Silent())
    champion = Champions(module_ledger.store).get("mlp-synthetic")
    assert champion and champion[0].run_id == first.run_id
    second = start(module_ledger, seed=12)
    run_stages(second, Silent())
    return second


@pytest.fixture
def damage(run: Run) -> Iterator[Callable[..., None]]:
    """Changes or removes objects, and restores them."""
    before: dict[str, bytes] = {}

    def change(key: str, body: bytes | None) -> None:
        if key not in before:
            before[key] = run.store.get(key).body
        if body is None:
            run.store.delete(key)
        else:
            run.store.put(key, body)

    yield change
    for key, body in before.items():
        run.store.put(key, body)


def missing(facts: Facts) -> dict[str, str]:
    """The parts that such a run has."""
    return {name: part.why for name, part in vars(facts).items() if isinstance(part, Part) and part.why}


def test_a_report_says_what_is_left_out_of_prometheus(run: Run) -> None:
    assert "left out of Prometheus" not in check_page(build(run).html).text
    run.update_summary(lambda summary: dataclasses.replace(summary, series_left_out=1_203))
    assert "1,203 series, to fit its limit; this report has all of them" in check_page(build(run).html).text
    run.update_summary(lambda summary: dataclasses.replace(summary, series_left_out=0))


def test_publish_stores_a_report_that_browsers_understand(run: Run) -> None:
    page = check_page(run.store.get(run.key("report.html")).body)
    assert len(page.figures) == len(FIGURES)
    decision = run.decision()
    assert decision and decision.champion
    first, _, rest = decision.sentence.partition(". ")
    for expected in (run.run_id, first, rest, decision.champion, *(check.sentence for check in decision.checks)):
        assert expected in page.text
    client = boto3.client("s3")

    def kind(name: str) -> str:
        return str(client.head_object(Bucket=run.store.bucket, Key=run.key(name))["ContentType"])

    assert kind("report.html") == "text/html; charset=utf-8"
    assert kind("run.json") == "application/json"
    for name in FIGURES:
        assert kind(f"figures/{name}.png") == "image/png"
        Image.open(io.BytesIO(run.store.get(run.key(f"figures/{name}.png")).body)).verify()


def test_a_complete_run_lacks_nothing_and_needs_no_torch(run: Run) -> None:
    facts = read_facts(run)
    assert missing(facts) == {}
    assert facts.champion.get().labels is facts.predictions.get().labels
    assert [summary.run_id for summary in facts.past] == [facts.champion_id, run.run_id]
    assert (facts.images.get().shape, facts.images.get().dtype) == ((10_000, 28, 28), np.uint8)


def test_missing_or_damaged_parts_are_named_and_the_rest_stays(run: Run, damage: Callable[..., None]) -> None:
    dataset, decision = run.dataset(), run.decision()
    assert dataset and decision
    images = f"datasets/{dataset.sha256}/test.safetensors"
    baseline = run.key(f"opponents/{decision.champion}.safetensors")
    body = run.store.get(images).body
    damage(images, body[:-1] + bytes([body[-1] ^ 1]))
    damage(baseline, None)
    found = missing(read_facts(run))
    assert set(found) == {"images", "champion"}
    assert "doesn't match its sha256" in found["images"]
    assert found["champion"] == f"The object {baseline} is no longer in the store."
    damage(images, None)
    damage(baseline, b"nonsense")
    found = missing(read_facts(run))
    assert "test images are no longer in the store" in found["images"] and "is damaged" in found["champion"]


def test_predictions_that_were_exchanged_are_not_shown(run: Run, damage: Callable[..., None]) -> None:
    key = run.key("predictions.safetensors")
    arrays = load(run.store.get(key).body)
    for changed, expected in (
        ({**arrays, "logits": -arrays["logits"]}, "the confusion matrix is not the same"),
        ({**arrays, "logits": arrays["logits"][:, :9]}, "their shape is (10000, 9), which doesn't match"),
        ({**arrays, "logits": np.full_like(arrays["logits"], np.nan)}, "not finite"),
        ({"logits": arrays["logits"]}, "labels or logits are not in the file"),
        ({**arrays, "labels": arrays["labels"] + 5}, "a label is out of range"),
    ):
        damage(key, save({name: np.ascontiguousarray(array) for name, array in changed.items()}))
        found = missing(read_facts(run))
        assert set(found) == {"predictions", "images", "champion"}
        assert expected in found["predictions"]
    damage(key, None)
    report = build(run)
    assert set(report.missing) == {"reliability", "example_predictions", "worst_mistakes"}
    reports.store(run, report)
    assert not run.store.exists(run.key("figures/reliability.png")), "an outdated figure would mislead"
    assert "is no longer in the store" in check_page(run.store.get(run.key("report.html")).body).text
    with pytest.raises(NotFoundError):
        build(Run(run.store, "20200101T000000Z-00000000"))


def test_a_run_without_image_inputs_has_no_pictures(run: Run, damage: Callable[..., None]) -> None:
    dataset, evaluation = run.dataset(), run.evaluation()
    assert dataset and evaluation and evaluation.previews_sha256
    damage(run.key("evaluation.json"), to_json(dataclasses.replace(evaluation, previews_sha256="")))
    key = f"datasets/{dataset.sha256}/test.safetensors"
    arrays = load(run.store.get(key).body)
    flat = arrays["images"].reshape(10_000, -1)
    for inputs in ({}, {"images": flat}, {"images": arrays["images"].astype(np.float32)}, {"features": flat}):
        body = save({"labels": arrays["labels"], **inputs})
        damage(key, body)
        files = {**dataset.files, "test": hashlib.sha256(body).hexdigest()}
        damage(run.key("dataset.json"), to_json(dataclasses.replace(dataset, files=files)))
        report = build(run)
        assert report.missing == {} and b"xample predictions" not in report.html
        assert not {"example_predictions", "worst_mistakes"} & set(report.figures)


def test_the_champion_is_paired_by_the_names_of_its_classes(run: Run, damage: Callable[..., None]) -> None:
    names = [f"kind {label}" for label in range(10)]
    champion = Run(run.store, read_facts(run).champion_id)
    evaluation, straight = run.evaluation(), read_facts(run).champion.get().predicted
    assert evaluation
    damage(run.key("evaluation.json"), to_json(dataclasses.replace(evaluation, classes=names)))

    def rename(classes: list[str]) -> None:
        damage(champion.key("run.json"), to_json(dataclasses.replace(champion.record, classes=classes)))

    rename(names[::-1])
    found = read_facts(run).champion.get()
    assert found.classes == names
    assert found.predicted.tolist() == (9 - straight).tolist()
    rename([])
    assert read_facts(run).champion.get().predicted.tolist() == straight.tolist(), "an older version stored no names"
    rename([*names[:9], "another"])
    facts = read_facts(run)
    assert facts.champion.why == "The champion's classes differ from this run's."
    report = build(run)
    assert report.missing == {}
    assert "The champion is not shown. The champion's classes differ" in check_page(report.html).text


def test_runs_with_other_classes_are_compared_on_their_own_test_images(run: Run, damage: Callable[..., None]) -> None:
    other = read_facts(run).champion_id
    names = [f"kind {label}" for label in range(10)]
    for one, classes in ((Run(run.store, other), names), (run, [*names[:9], "another"])):
        evaluation = one.evaluation()
        assert evaluation
        damage(one.key("evaluation.json"), to_json(dataclasses.replace(evaluation, classes=classes)))
    (pair,) = compare(run.store, [other, run.run_id]).pairs
    assert list(pair.classes) == names[:9]
    assert "the 9 class names that both have, and their 9,000 test examples" in pair.note


def test_damaged_records_cost_their_part_only(run: Run, damage: Callable[..., None]) -> None:
    for name in ("decision.json", "evaluation.json", "epochs.json", "dataset.json", "attempts/train-1.json"):
        damage(run.key(name), b"{")
    damage("champions/mlp-synthetic.json", b"[]")
    facts = read_facts(run)
    assert {"decision", "evaluation", "training", "dataset", "attempts"} <= set(missing(facts))
    assert facts.in_service is None
    assert "is damaged" in facts.decision.why


def test_a_failed_run_gets_a_report_too(module_ledger: Ledger) -> None:
    failing = start(module_ledger, peak_learning_rate=1e6)
    with pytest.raises(NonFiniteLossError):
        run_stages(failing, Silent())
    page = check_page(failing.store.get(failing.key("report.html")).body)
    assert "This run has no decision: it failed in train." in page.text
    assert "lower peak_learning_rate" in page.text
    stored = {entry.key.removeprefix(failing.key("")) for entry in failing.store.list(failing.key("figures/"))}
    assert "figures/stage_durations.png" in stored and "figures/reliability.png" not in stored


def test_a_report_that_cannot_be_built_fails_no_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = [entry for entry in snapshot(run) if "attempts/publish" not in entry[0] and "summaries" not in entry[0]]
    monkeypatch.setitem(sys.modules, "catwalk.report.build", None)
    with caplog.at_level(logging.WARNING, logger="catwalk.stages.pipeline"):
        publish(Run(run.store, run.run_id), Silent())
    (line,) = caplog.messages
    assert line.startswith("no report: ") and f"catwalk report {run.run_id}" in line
    assert run.attempts()[-1].outcome == "succeeded"
    after = [entry for entry in snapshot(run) if "attempts/publish" not in entry[0] and "summaries" not in entry[0]]
    assert after == before


def test_runs_are_compared_on_their_own_predictions(run: Run) -> None:
    decision, evaluation = run.decision(), run.evaluation()
    assert decision and evaluation
    (check,) = [check for check in decision.checks if check.check == "better"]
    found = compare(run.store, [decision.champion, run.run_id])
    (pair,) = found.pairs
    assert pair.overall is not None and pair.overall.value == pytest.approx(check.value), "the gate's own difference"
    assert found.parameters == {"epochs": [2, 4], "seed": [11, 12]}
    assert found.baseline.images.get().shape == (10_000, 28, 28)


def test_without_s3_there_is_no_report_rather_than_a_partial_one(run: Run, s3_server: S3Server) -> None:
    s3_server.stop()
    try:
        with pytest.raises(StoreUnavailableError):
            build(Run(S3Store(run.store.url, patience=Patience(0.5, 0.5, tries=1)), run.run_id))
    finally:
        s3_server.start()
