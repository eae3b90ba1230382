"""Killed, stopped, superseded or cut off at any moment: the retry ends with the same bits as an undisturbed run."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from catwalk.errors import StoreUnavailableError
from catwalk.ledger.runs import Run
from catwalk.stages.publish import publish
from catwalk.stages.train import train
from catwalk.telemetry.observer import Silent
from tests.conftest import wait_until
from tests.support.runs import Recorder, fence_off, model, stage_process, without_timing
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

SLOW = {"batch_size": 2, "epochs": 12}
"""Long enough for a test to interrupt it."""


@pytest.mark.parametrize(
    ("suffix", "nth", "moment"),
    [
        ("epochs.json", 1, "before"),  # nothing trained yet
        ("epochs.json", 3, "after"),  # an epoch recorded, its checkpoint not yet written
        ("checkpoint.safetensors", 1, "during"),
        ("checkpoint.safetensors", 3, "during"),
        ("checkpoint.safetensors", 4, "after"),  # all epochs done, no model yet
        ("model.safetensors", 1, "during"),
        ("model.safetensors", 1, "after"),  # model stored, not yet committed
        ("epochs.json", 6, "after"),  # committed, the checkpoint not yet deleted
    ],
)
def test_killed_at_a_write_the_retry_gives_the_same_bits(
    new_run: Callable[..., Run], undisturbed: Callable[..., bytes], suffix: str, nth: int, moment: str
) -> None:
    run = new_run()
    process = stage_process(run, "train", suffix, str(nth), moment)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors
    train(run, Silent())
    assert model(run) == undisturbed()
    training = run.training()
    assert training is not None
    assert [record.epoch for record in training.epochs] == [1, 2, 3, 4]
    assert training.reproducible
    assert not run.store.exists(run.key("checkpoint.safetensors"))
    first = next(record for record in run.attempts() if record.stage == "train")
    assert first.outcome is None  # a killed attempt has no end


def test_sigterm_saves_the_last_epoch_and_the_run_counts_as_cancelled(
    new_run: Callable[..., Run], undisturbed: Callable[..., bytes]
) -> None:
    run = new_run(**SLOW, checkpoint_seconds=3_600)  # no checkpoint but the one that SIGTERM asks for
    process = stage_process(run, "train")
    wait_until(lambda: (training := run.training()) and training.epochs, "an epoch")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 1, errors
    assert b"CancelledError: train was stopped by a signal" in errors
    assert run.attempts()[-1].outcome == "cancelled"
    assert run.store.exists(run.key("checkpoint.safetensors"))
    summary = run.summary()
    assert summary is not None
    assert summary.state == "cancelled"
    publish(run, Silent())
    summary = run.summary()
    assert summary is not None
    assert summary.state == "cancelled"
    resumed = Recorder()
    train(run, resumed)
    assert "epoch 1" not in resumed.calls
    assert model(run) == undisturbed(**SLOW, checkpoint_seconds=3_600)


def test_an_attempt_that_was_thought_dead_is_fenced_off(
    new_run: Callable[..., Run], undisturbed: Callable[..., bytes]
) -> None:
    run = new_run(**SLOW)
    old = stage_process(run, "train")
    wait_until(lambda: (training := run.training()) and training.epochs, "an epoch")
    old.send_signal(signal.SIGSTOP)
    fence_off(old, run)
    assert model(run) == undisturbed(**SLOW)
    summary = run.summary()
    assert summary is not None
    assert summary.error == ""


def test_an_outage_of_s3_is_one_line_and_the_retry_continues(
    new_run: Callable[..., Run], undisturbed: Callable[..., bytes], s3_server: S3Server
) -> None:
    run = new_run()

    def outage(record: object) -> None:
        if not stopped:
            stopped.append(True)
            s3_server.stop()

    stopped: list[bool] = []
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        train(run, Recorder(outage))
    assert "\n" not in str(caught.value)
    s3_server.start()
    train(run, Silent())
    assert model(run) == undisturbed()


def test_two_runs_at_once_do_not_disturb_each_other(
    new_run: Callable[..., Run], undisturbed: Callable[..., bytes]
) -> None:
    runs = [new_run(), new_run(seed=12)]
    processes = [stage_process(run, "train") for run in runs]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert model(runs[0]) == undisturbed()
    assert model(runs[1]) == undisturbed(seed=12)
    assert model(runs[0]) != model(runs[1])


def test_the_epochs_of_a_resumed_run_are_those_of_an_undisturbed_one(new_run: Callable[..., Run]) -> None:
    killed, whole = new_run(), new_run()
    process = stage_process(killed, "train", "checkpoint.safetensors", "2", "after")
    process.communicate(timeout=300)
    for run in (killed, whole):
        train(run, Silent())
    records = [run.training() for run in (killed, whole)]
    assert all(records)
    ours, theirs = ([without_timing(epoch) for epoch in record.epochs] for record in records if record)
    assert ours == theirs
