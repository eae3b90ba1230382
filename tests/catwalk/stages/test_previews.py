"""Pictures of the worst mistakes: stored with the run, and all that a report needs of a model's inputs."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.report.build import build
from catwalk.stages.artifacts import previews
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.telemetry.observer import Silent
from tests.models.shapes import SHAPES
from tests.models.shapes.model import Settings, Shapes

pytestmark = pytest.mark.integration
CONFUSED = {"grain": 3.0, "rounds": 1}


def measured(ledger: Ledger, **knobs: Any) -> Run:
    run = open_run(ledger, new_run_id(), SHAPES, Settings.from_flat({**CONFUSED, **knobs}), "cli")
    for stage in ("ingest", "train", "test"):
        STAGE_FUNCTIONS[stage](run, Silent())
    return run


def arrays(run: Run, name: str) -> dict[str, Any]:
    return load(run.store.get(run.key(name)).body)


def recorded(run: Run) -> str:
    evaluation = run.evaluation()
    assert evaluation
    return evaluation.previews_sha256


def dataset_key(run: Run) -> str:
    dataset = run.dataset()
    assert dataset
    return f"datasets/{dataset.sha256}/test.safetensors"


def test_the_most_confident_wrong_answers_are_stored_and_suffice_for_a_report(ledger: Ledger) -> None:
    run = measured(ledger, tested=900)
    body = run.store.get(run.key("previews.safetensors")).body
    assert hashlib.sha256(body).hexdigest() == recorded(run)
    kept, answers, split = (
        load(body),
        arrays(run, "predictions.safetensors"),
        load(run.store.get(dataset_key(run)).body),
    )
    powers = np.exp(answers["logits"].astype(np.float64))
    confidence = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = np.flatnonzero(answers["logits"].argmax(axis=1) != answers["labels"])
    assert len(wrong) > previews.MOST == len(kept["indices"])
    assert set(kept["indices"]) <= set(wrong)
    assert np.all(np.diff(confidence[kept["indices"]]) <= 1e-6)
    left_out = sorted(set(wrong) - set(kept["indices"].tolist()))
    assert confidence[left_out].max() <= confidence[kept["indices"]].min() + 1e-6
    assert np.array_equal(kept["pictures"], split["pixels"][kept["indices"]])
    run.store.delete(dataset_key(run))
    report = build(run)
    assert "worst_mistakes" in report.figures and "example_predictions" in report.missing


def test_without_previews_a_report_looks_for_pictures_in_the_dataset(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Shapes, "preview")
    run = measured(ledger)
    assert (recorded(run), run.store.exists(run.key("previews.safetensors"))) == ("", False)
    report = build(run)
    assert "worst_mistakes" not in {**report.figures, **report.missing}, "they are not images: nothing is missing"


@pytest.mark.parametrize(
    ("preview", "complaint"),
    [
        (lambda inputs: inputs["no such input"], "KeyError: 'no such input'"),
        (lambda inputs: inputs["pixels"][:1], "uint8 of shape (1, 8, 8), not uint8 ("),
        (lambda inputs: inputs["pixels"] / 255, "float64 of shape"),
    ],
)
def test_a_preview_that_fails_costs_the_pictures_and_not_the_run(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, preview: Any, complaint: str
) -> None:
    monkeypatch.setattr(SHAPES, "preview", preview, raising=False)
    with caplog.at_level(logging.WARNING, "catwalk"):
        run = measured(ledger)
    assert (recorded(run), run.store.exists(run.key("previews.safetensors"))) == ("", False)
    assert "no previews of the worst mistakes: " in caplog.text and complaint in caplog.text


def test_large_pictures_are_scaled_down_and_keep_their_colours(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    large = lambda inputs: np.zeros((len(inputs["pixels"]), 300, 700, 3), np.uint8)  # noqa: E731
    monkeypatch.setattr(SHAPES, "preview", large, raising=False)
    run = measured(ledger)
    assert arrays(run, "previews.safetensors")["pictures"].shape[1:] == (50, 117, 3)
    assert "worst_mistakes" in build(run).figures


def test_the_file_of_an_older_attempt_stays(ledger: Ledger) -> None:
    run = open_run(ledger, new_run_id(), SHAPES, Settings.from_flat(CONFUSED), "cli")
    run.store.put(run.key("previews.safetensors"), b"of an attempt that still lives")
    for stage in ("ingest", "train", "test"):
        STAGE_FUNCTIONS[stage](run, Silent())
    assert recorded(run) == hashlib.sha256(b"of an attempt that still lives").hexdigest()


def test_a_replaced_or_missing_preview_is_not_shown(ledger: Ledger) -> None:
    run = measured(ledger)
    key = run.key("previews.safetensors")
    body = run.store.get(key).body
    run.store.put(key, body[:-1] + bytes([body[-1] ^ 1]))
    assert build(run).missing["worst_mistakes"] == f"The previews are damaged: {key} doesn't match its sha256."
    run.store.delete(key)
    assert build(run).missing["worst_mistakes"] == f"The previews are no longer in the store ({key})."
