"""Trainings of many hours and epochs."""

from __future__ import annotations

import math

import pytest

import catwalk
from catwalk.errors import ConfigError, StoreError
from catwalk.ledger.runs import Ledger
from tests.catwalk.tracking.conftest import only


def test_the_summary_says_what_was_best_and_usual_over_all_of_2000_epochs(ledger: Ledger) -> None:
    with catwalk.run("llm", catwalk.Binary()) as run:
        for epoch in range(1, 2_001):
            loss = 0.1 if epoch == 130 else math.nan if epoch == 7 else 0.3
            run.epoch(epoch, train={"loss": loss}, validation={"loss": 2 * loss})
    summary = only(ledger).summary()
    assert (summary.epochs, summary.best_epoch, summary.best_validation_loss) == (2_000, 130, 0.2)
    assert (summary.best_train_loss, summary.median_train_loss) == (0.1, 0.3)


def test_a_run_without_losses_has_no_best_one(ledger: Ledger) -> None:
    with catwalk.run("llm", catwalk.Binary()) as run:
        run.epoch(1, validation={"auc": 0.8})
    summary = only(ledger).summary()
    assert (summary.best_train_loss, summary.median_train_loss, summary.best_validation_loss) == (None, None, None)


def test_the_summary_says_how_long_a_run_may_be_silent(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_RUN_HEARTBEAT_SECONDS", "600")
    with catwalk.run("llm", catwalk.Binary()) as run:
        assert only(ledger).summary().lost_after == 1_800
        run.epoch(1, train={"loss": 1.0})
    assert only(ledger).summary().lost_after == 1_800


def test_heartbeats_that_make_no_sense_are_refused_before_anything_is_stored(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_LOST_SECONDS", "30")
    with pytest.raises(ConfigError, match="CATWALK_LOST_SECONDS must be twice CATWALK_RUN_HEARTBEAT_SECONDS"):
        catwalk.run("llm", catwalk.Binary())
    with pytest.raises(StoreError, match="there is no folder"):
        list(ledger.store.list(""))
