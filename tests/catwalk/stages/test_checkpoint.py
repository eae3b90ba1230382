"""Checkpoints of a training in progress, and the loss that stops it."""

from __future__ import annotations

import math

import pytest
from safetensors.numpy import load

from catwalk.errors import ArtifactError, NonFiniteLossError
from catwalk.ledger.records.training import EpochRecord
from catwalk.stages.artifacts.checkpoint import Progress, read_progress, read_state, write
from catwalk.stages.train import check_finite
from ml.fashion_mnist.config import RunConfig

EPOCH = EpochRecord(1, math.inf, 0.5, math.nan, 0.5, [0.5, 0.5], 0.1, 2.0, 1.5, 300.0, 1_800_000_000.0)
PROGRESS = Progress(4, "digest", 2**63 - 1, False, {"device": "cpu", "threads": "2"}, [EPOCH])


def test_a_checkpoint_is_a_safetensors_file_that_returns_what_was_written() -> None:
    body = write(PROGRESS, b"any bytes \x00\xff")
    assert read_state(body) == b"any bytes \x00\xff"
    assert str(read_progress(body)) == str(PROGRESS)  # NaN equals nothing, but reads the same
    assert set(load(body)) == {"state"}


def test_an_empty_state_is_a_checkpoint_too() -> None:
    assert read_state(write(PROGRESS, b"")) == b""


@pytest.mark.parametrize("body", [b"", b"\x80\x04.", b"\xff" * 64, (2).to_bytes(8, "little") + b"{}"])
def test_a_damaged_checkpoint_is_one_line(body: bytes) -> None:
    for read in (read_progress, read_state):
        with pytest.raises(ArtifactError, match="the checkpoint is damaged") as caught:
            read(body)
        assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice() -> None:
    with pytest.raises(NonFiniteLossError, match=r"not finite after epoch 1 .*; lower peak_learning_rate \(now 0.1\)"):
        check_finite(EPOCH, RunConfig())
