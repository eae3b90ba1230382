"""A captured step on a GPU is the same as a step on a CPU: same bits for a seed and after a resume, same curves, and
it stops as fast. Tests that need a GPU skip without one, and say so.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from catwalk.errors import NonFiniteLossError
from catwalk.ledger.records.training import EpochRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.stages.train import train
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER, training
from ml.fashion_mnist.capture import Captured, Work, captured
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.ml.fashion_mnist.test_training import run, trainer

with_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no GPU here: the captured training step is NOT tested"
)
GPU: dict[str, Any] = {"device": "cuda", "hidden": "64,32", "batch_size": 3}
"""67 steps for each epoch, the last one with two examples: two sizes of graphs, and a partial batch."""

TRAIN = """
import sys
from catwalk.ledger.runs import Run
from catwalk.stages.train import train
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
train(Run(open_store(), sys.argv[1]), Silent())
"""


def curves(records: list[EpochRecord]) -> list[EpochRecord]:
    """Returns the part of the epochs that does not depend on the clock."""
    still = {"duration_seconds": 0.0, "examples_per_second": 0.0, "finished": 0.0}
    return [dataclasses.replace(record, **still) for record in records]


def trained(**changes: Any) -> tuple[bytes, list[EpochRecord]]:
    records: list[EpochRecord] = []
    return run(trainer(**{**GPU, **changes}), records.append).model(), curves(records)


def launched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, nothing is captured."""
    monkeypatch.setattr(training, "captured", lambda work, device, examples: work)


@pytest.mark.parametrize("at_once", [2, 16, 1_000])
def test_several_steps_at_once_are_those_steps(at_once: int) -> None:
    """This holds on any device: the capture contains these steps."""
    one_by_one, together = trainer(batch_size=3), trainer(batch_size=3)
    together._at_once = at_once
    records: list[list[EpochRecord]] = [[], []]
    for subject, kept in zip((one_by_one, together), records, strict=True):
        run(subject, kept.append)
    assert together.state() == one_by_one.state()
    assert curves(records[0]) == curves(records[1])


def test_work_that_cannot_be_captured_runs_uncaptured_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """Without a GPU, nothing can be captured; with one, work that waits for it can't."""
    device = torch.device("cuda")
    seen: list[float] = []

    def work(inputs: Tensor, labels: Tensor, rates: Tensor) -> None:
        seen.append(float(inputs.sum()))

    place = device if torch.cuda.is_available() else torch.device("cpu")
    examples = [(torch.ones(size, device=place),) * 3 for size in (2, 3)]
    with caplog.at_level(logging.WARNING):
        launched = captured(work, device, examples)
    [line] = caplog.messages
    assert line.startswith(
        "the training step can't be captured in a CUDA graph, and is several times slower without one: "
    )
    assert "\n" not in line
    launched(*examples[1])
    assert seen[-1] == 3


@with_gpu
def test_the_step_is_captured(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    found: list[Work] = []

    def watched(*arguments: Any) -> Work:
        found.append(captured(*arguments))
        return found[-1]

    monkeypatch.setattr(training, "captured", watched)
    with caplog.at_level(logging.WARNING):
        trained()
    assert [type(work) for work in found] == [Captured]
    assert caplog.messages == []


@with_gpu
def test_on_a_gpu_one_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert trained() == trained()
    assert run(trainer(seed=6, **GPU)).model() != run(trainer(seed=5, **GPU)).model()


@with_gpu
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_on_a_gpu_it_ends_with_the_same_bits_resumed_after_any_epoch(epoch: int) -> None:
    states: list[bytes] = []
    whole, records = trainer(**GPU), list[EpochRecord]()

    def after(record: EpochRecord) -> None:
        states.append(whole.state())
        records.append(record)

    run(whole, after)
    torch.manual_seed(99)  # whatever another process has done to the generators
    resumed, again = trainer(**GPU), records[:epoch]
    resumed.restore(states[epoch - 1])
    assert run(resumed, again.append, done=epoch).state() == whole.state()
    assert curves(again) == curves(records)


@with_gpu
def test_captured_or_not_the_bits_and_the_curves_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained()
    launched_one_by_one(monkeypatch)
    assert trained() == whole


@with_gpu
def test_a_step_that_cannot_be_captured_still_trains(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """This step reads its loss, and waits for the device to do so. The generator of dropout must have survived."""
    whole, original = trained(), training.cross_entropy

    def looked_at(logits: Tensor, labels: Tensor) -> Tensor:
        loss = original(logits, labels)
        assert not math.isnan(float(loss))
        return loss

    monkeypatch.setattr(training, "cross_entropy", looked_at)
    with caplog.at_level(logging.WARNING):
        assert trained() == whole
    assert len(caplog.messages) == 1 and "can't be captured" in caplog.messages[0]


@with_gpu
def test_without_dropout_the_curves_are_those_of_a_cpu() -> None:
    """Only the order of sums differs, so rates, batches and momentum are the same."""
    gentle = {"dropout": 0.0, "peak_learning_rate": 0.01}  # a diverging training amplifies differences
    _, ours = trained(**gentle)
    _, theirs = trained(**gentle, device="cpu")
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.train_loss == pytest.approx(other.train_loss, rel=1e-3)
        assert mine.validation_loss == pytest.approx(other.validation_loss, rel=1e-3)
        assert mine.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
        assert mine.learning_rate == other.learning_rate


@pytest.fixture
def ledger(tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger, in a folder."""
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    monkeypatch.setenv("CATWALK_STORE", tmp_path.as_uri())
    return Ledger(open_store())


def ingested(ledger: Ledger, **knobs: Any) -> Run:
    config = RunConfig.from_flat({"source": "synthetic", "device": "cuda", "seed": 3, **knobs})
    opened = open_run(ledger, new_run_id(), CLASSIFIER, config, "cli")
    STAGE_FUNCTIONS["ingest"](opened, Silent())
    return opened


@with_gpu
def test_on_a_gpu_a_loss_that_is_not_finite_ends_the_run(ledger: Ledger) -> None:
    doomed = ingested(ledger, peak_learning_rate=1e5)
    with pytest.raises(NonFiniteLossError, match=r"lower peak_learning_rate \(now 100000\.0\)"):
        train(doomed, Silent())
    stored = doomed.training()
    assert stored and not math.isfinite(stored.epochs[-1].train_loss)


@with_gpu
def test_on_a_gpu_sigterm_takes_effect_within_a_second_and_a_retry_ends_with_the_same_bits(ledger: Ledger) -> None:
    knobs = {"train_examples": 50_000, "epochs": 60, "checkpoint_seconds": 3_600.0}
    stopped = ingested(ledger, **knobs)
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, stopped.run_id],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
    )
    while not ((progress := stopped.training()) and progress.epochs):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    sent = time.time()
    _, errors = process.communicate(timeout=500)
    [attempt] = [each for each in stopped.attempts() if each.stage == "train"]
    assert attempt.outcome == "cancelled", errors
    assert attempt.ended is not None and attempt.ended - sent < 1
    train(stopped, Silent())
    whole = ingested(ledger, **knobs)
    train(whole, Silent())
    models = [each.store.get(each.key("model.safetensors")).body for each in (stopped, whole)]
    assert models[0] == models[1]
    assert (stored := stopped.training()) and stored.reproducible and "NVIDIA" in stored.device
