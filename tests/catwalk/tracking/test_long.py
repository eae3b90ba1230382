"""Trainings of many hours and epochs."""

from __future__ import annotations

import io
import json
import math
import re
import time
from contextlib import suppress
from itertools import pairwise

import pytest
from rich.console import Console

import catwalk
from catwalk.cli.tables.output import run_facts, runs_table
from catwalk.errors import ConfigError, InputError, StoreError
from catwalk.ledger.records.training import MAX_EPOCHS
from catwalk.ledger.runs import Ledger, new_run_id
from catwalk.replay import room
from catwalk.replay.points import run_points
from catwalk.replay.room import with_room
from catwalk.stages.lifecycle.opening import open_run
from catwalk.telemetry import catalogue
from catwalk.telemetry.points import kept
from catwalk.tracking import journal
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.catwalk.tracking.conftest import only
from tests.support.records import MemoryStore
from tests.support.servers import wait_until
from tests.support.views import facts_of
from tests.support.views import listed as listed_runs


def test_the_summary_has_the_best_and_the_median_of_all_2000_epochs(ledger: Ledger) -> None:
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


def test_invalid_heartbeats_are_refused_before_anything_is_stored(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_LOST_SECONDS", "30")
    with pytest.raises(ConfigError, match="CATWALK_LOST_SECONDS must be at least twice CATWALK_RUN_HEARTBEAT_SECONDS"):
        catwalk.run("llm", catwalk.Binary())
    with pytest.raises(StoreError, match="there is no folder"):
        list(ledger.store.list(""))


def test_a_continuing_run_renews_its_share_of_series(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_STATSD", "127.0.0.1:9")
    monkeypatch.setenv("CATWALK_RUN_HEARTBEAT_SECONDS", "0.05")
    monkeypatch.setattr(room, "RENEWED_SECONDS", 0.1)
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.05)

    def until() -> float:
        return float(json.loads(ledger.store.get(room.KEY).body)["held"][run.run_id]["until"])

    with catwalk.run("llm", catwalk.Binary()) as run:
        opened = until()
        wait_until(lambda: until() > opened)


def test_a_training_that_counts_in_steps_says_so_wherever_they_are_shown(ledger: Ledger) -> None:
    """An attempt continues where the previous one ended, far beyond what fits a list of epochs."""
    with suppress(ZeroDivisionError), catwalk.run("llm", catwalk.Binary(), run_key="night") as run:
        for step in range(500, 9_990_001, 5_000):
            run.step(step, train={"loss": 1e6 / step}, validation={"loss": 2e6 / step})
        raise ZeroDivisionError
    with catwalk.run("llm", catwalk.Binary(), run_key="night") as run:
        assert run.resume() == 9_985_500
        with pytest.raises(
            InputError, match="epoch: this run has logged steps, and a run uses only one of the two; log steps"
        ):
            run.epoch(1, train={"loss": 0.1})
        run.step(10_000_000, train={"loss": 0.05}, validation={"loss": 0.5})
    found = only(ledger)
    summary, training = found.summary(), found.training()
    assert (summary.axis, training.axis, summary.epochs, summary.best_epoch) == ("step", "step", 1_999, 9_985_500)
    assert [epoch.epoch for epoch in training.epochs] == [*range(500, 9_990_001, 5_000), 10_000_000]
    shown = [point.labels["epoch"] for point in run_points(found) if point.metric is catalogue.EPOCH_INDEX]
    assert 100 < len(shown) <= MAX_EPOCHS and shown[0] == "500"
    page = facts_of(summary, time.time())
    assert ">steps<" in page and "10000000, logged 1999 times, best 9985500" in page
    assert ">10000000 steps<" in listed_runs(summary, now=time.time())
    listed = Console(width=200, record=True, file=io.StringIO())
    listed.print(runs_table([summary], time.time(), 600, 200))
    assert "9985500/10000000" in listed.export_text()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(run_facts(summary, training, None, [], time.time(), 600))
    assert re.search(r"\bstep +train", console.export_text())


@pytest.mark.parametrize(("whole", "lines"), [(False, 51), (True, 5_000)])
def test_a_terminal_shows_some_of_5000_epochs_or_all_if_asked(ledger: Ledger, whole: bool, lines: int) -> None:
    with catwalk.run("llm", catwalk.Binary()) as run:
        for epoch in range(1, 5_001):
            run.epoch(epoch, validation={"loss": 0.1 if epoch == 777 else 0.3})
    console = Console(width=200, record=True, file=io.StringIO())
    found = only(ledger)
    console.print(run_facts(found.summary(), found.training(), None, [], time.time(), 600, whole=whole))
    text = console.export_text()
    shown = [int(number) for number in re.findall(r"^ +(\d+) +0\.[13]000", text, re.MULTILINE)]
    assert len(shown) in (lines, lines + 1) and {1, 777, 5_000} <= {*shown} and shown == sorted(shown)
    assert "0.1000 *" in text and ("--all shows each" in text) != whole


def test_epochs_are_not_steps(ledger: Ledger) -> None:
    with catwalk.run("llm", catwalk.Binary()) as run:
        run.log(loss=1.0)
        run.epoch(1)
        with pytest.raises(InputError, match="step: this run has logged epochs"):
            run.step(2)
    assert (only(ledger).summary().axis, only(ledger).summary().epochs) == ("epoch", 1)


def test_the_stages_train_2000_epochs_too_and_show_the_first_the_last_and_evenly_between(ledger: Ledger) -> None:
    config = RunConfig.from_flat({"source": "synthetic", "epochs": 2_000})
    run = open_run(ledger, new_run_id(), CLASSIFIER, config, "cli")
    record = with_room(MemoryStore(), run.record, [run.record.epochs])
    shown = sorted(kept(record.epochs, 10, record.series_budget).curves)
    assert (record.epochs, shown[0], shown[-1]) == (2_000, 1, 2_000)
    assert max(b - a for a, b in pairwise(shown)) <= 10
    assert record.series_left_out > 30_000
