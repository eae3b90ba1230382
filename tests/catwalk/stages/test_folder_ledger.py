"""A ledger in a folder of this machine: runs, commands and services do there everything that they do in S3."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from catwalk.gate.limits import Threshold
from catwalk.gate.promotion import rollback
from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.run import Trigger
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS, run_stages
from catwalk.stages.train import train
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.telemetry.observer import Silent
from stack.ports import free_port
from stack.settings import PROJECT
from tests.models.shapes import SHAPES
from tests.models.shapes.model import Settings
from tests.support.commands import command_line
from tests.support.ledgers import load_first_edition
from tests.support.runs import fence_off, model, stage_process
from tests.support.servers import wait_until

EASY = {"accuracy_floor": 0.4, "recall_floor": 0.0, "calibration_cap": 1.0, "serve_check": "off"}
FIRST, CHAMPION = "20261116T030000Z-8893fa15", "20261117T030000Z-9b3651a6"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty folder, which the environment points to as well."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "CATWALK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "runs of tests").as_uri())
    return open_store()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


@pytest.fixture
def catwalk(store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    return command_line(capfd, monkeypatch, tmp_path)


def shapes_run(ledger: Ledger, run_id: str = "", **knobs: Any) -> Run:
    return open_run(ledger, run_id or new_run_id(), SHAPES, Settings.from_flat({**EASY, **knobs}), "cli")


def ingested(ledger: Ledger, **knobs: Any) -> Run:
    run = shapes_run(ledger, **knobs)
    STAGE_FUNCTIONS["ingest"](run, Silent())
    return run


def undisturbed(seed: int, **knobs: Any) -> bytes:
    """The model that the same recipe gives without interruptions."""
    config = Settings.from_flat({**EASY, **knobs})
    fit = SHAPES.start(config, seed, SHAPES.load(config))
    for _ in fit.epochs(0, lambda: None):
        pass
    return fit.model()


def test_runs_train_ship_and_are_rolled_back(ledger: Ledger, catwalk: Any) -> None:
    first = shapes_run(ledger, "20261123T030000Z-00000001", step=1e-9, rounds=1, accuracy_floor=0.1)
    better = shapes_run(ledger, "20261123T040000Z-00000002", rounds=12, learned=900)
    for run in (first, better):
        run_stages(run, Silent())
        assert run.store.exists(run.key("report.html"))
    found = Champions(ledger.store).get("shapes")
    assert found and (found[0].run_id, found[0].previous) == (better.run_id, first.run_id)
    assert model(better) == undisturbed(better.record.seed, rounds=12, learned=900)
    compared = catwalk("compare", first.run_id, better.run_id, "--json")
    assert compared.code == 0 and "rounds" in compared.out, compared.err
    assert catwalk("report", better.run_id).code == 0
    replayed = catwalk("replay", better.run_id, "--out", "-")
    assert replayed.code == 0 and "ml_epoch" in replayed.out, replayed.err
    assert rollback(ledger.store, "shapes", "test", "for the test").run_id == first.run_id


def limited(ledger: Ledger, trigger: Trigger, limits: Mapping[str, Threshold] | None = None) -> Run:
    """A run of a DAG whose file sets these limits."""
    config = Settings.from_flat(EASY)
    return open_run(ledger, new_run_id(), SHAPES, config, trigger, "shapes", "one", schedule="None", limits=limits)


def test_a_dags_limits_are_its_models_until_it_sets_others(ledger: Ledger, catwalk: Any) -> None:
    given = {"runs_blocked": (5, "its shapes come late"), "schedule_grace_seconds": 7_200}
    limited(ledger, "cli", given)
    assert watched.watched(ledger.store, "shapes") is None, "a manual run says nothing about its model"
    first = limited(ledger, "schedule", given)
    known = watched.watched(ledger.store, "shapes")
    assert known and known.run_id == first.run_id
    for record in (known, first.record):
        assert record.thresholds == {"limits": {"runs_blocked": 5.0, "schedule_grace_seconds": 7200.0}}
        assert record.threshold_reasons == {"runs_blocked": "its shapes come late"}
    assert "its shapes come late" in catwalk("show", first.run_id).out
    run_stages(first, Silent())
    assert b"its shapes come late" in first.store.get(first.key("report.html")).body
    assert "the name of a Trainable's model" in catwalk("models", "rename", "shapes", "forms").err
    catwalk("models", "retire", "shapes", "--by", "ada")
    limited(ledger, "schedule", {"runs_blocked": 6})
    known = watched.watched(ledger.store, "shapes")
    assert known and known.retired and known.thresholds == {"limits": {"runs_blocked": 6.0}}
    assert limited(ledger, "schedule").record.thresholds == {}
    known = watched.watched(ledger.store, "shapes")
    assert known and known.thresholds == {}


def test_a_persons_limits_of_a_trainable_become_its_dags_once_the_dag_sets_the_same(
    ledger: Ledger, catwalk: Any
) -> None:
    limited(ledger, "schedule", {"runs_blocked": 5})
    assert catwalk("models", "retire", "shapes").code == 0
    assert catwalk("models", "add", "shapes", "--threshold", "runs_blocked=5").code == 0
    limited(ledger, "schedule", {"runs_blocked": 5})
    assert limited(ledger, "schedule").record.thresholds == {}
    known = watched.watched(ledger.store, "shapes")
    assert known and (known.thresholds, known.by) == ({}, "")


def test_a_persons_limits_of_a_trainable_hold_as_long_as_its_dag_sets_none(ledger: Ledger, catwalk: Any) -> None:
    done = catwalk("models", "add", "shapes", "--owner", "ada", "--threshold", "runs_blocked=5", "--reason", "late")
    assert (done.code, done.err) == (0, "")
    for _ in range(2):
        record = limited(ledger, "schedule").record
        known = watched.watched(ledger.store, "shapes")
        assert known and known.owner == "ada"
        assert record.thresholds == known.thresholds == {"limits": {"runs_blocked": 5.0}}
        assert record.threshold_reasons == known.threshold_reasons == {"runs_blocked": "late"}


def test_stages_that_have_finished_change_nothing_when_run_again(ledger: Ledger) -> None:
    run = shapes_run(ledger)
    run_stages(run, Silent())
    before = list(run.store.list(""))
    for stage in ("ingest", "train", "test", "decide"):
        STAGE_FUNCTIONS[stage](Run(open_store(), run.run_id), Silent())
    assert list(run.store.list("")) == before


@pytest.mark.parametrize(
    ("suffix", "nth", "moment"),
    [
        ("epochs.json", 1, "before"),
        ("epochs.json", 3, "after"),
        ("checkpoint.safetensors", 2, "during"),
        ("model.safetensors", 1, "after"),
    ],
)
def test_killed_at_a_write_the_retry_gives_the_same_bits(ledger: Ledger, suffix: str, nth: int, moment: str) -> None:
    run = ingested(ledger)
    process = stage_process(run, "train", suffix, str(nth), moment)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors
    train(run, Silent())
    assert model(run) == undisturbed(run.record.seed)
    training = run.training()
    assert training and training.reproducible and [epoch.epoch for epoch in training.epochs] == [1, 2, 3, 4]


def test_an_attempt_that_was_thought_dead_is_fenced_off(ledger: Ledger) -> None:
    run = ingested(ledger, rounds=6, pause=0.3)
    old = stage_process(run, "train")
    wait_until(lambda: (training := run.training()) and training.epochs, "an epoch")
    stop_between_writes(old, run.store)
    fence_off(old, run)
    summary = run.summary()
    assert summary and summary.error == ""


def stop_between_writes(process: subprocess.Popen[bytes], store: Any) -> None:
    """Stops a process when it holds no lock. A process that is stopped in a write blocks others, which then report
    it.
    """

    def stopped() -> bool:
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the process is stopped")
        folder = os.open(store.root / ".catwalk-store" / "temporary", os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # every writer contributes to it
            return True
        except BlockingIOError:
            process.send_signal(signal.SIGCONT)
            return False
        finally:
            os.close(folder)

    wait_until(stopped, "it writes nothing")


def test_a_ledger_of_the_first_edition_is_read_and_migrated(
    store: Store, catwalk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_TRAINABLE", "ml.fashion_mnist:CLASSIFIER")
    load_first_edition(store)
    listed = catwalk("runs", "--json")
    assert listed.code == 0 and {FIRST, CHAMPION} < {row["run_id"] for row in listed.json()}, listed.err
    shown = catwalk("show", CHAMPION, "--json")
    assert shown.code == 0 and CHAMPION in shown.out, shown.err
    assert catwalk("compare", FIRST, CHAMPION, "--json").code == 0
    migrated = catwalk("migrate")
    assert migrated.code == 0, migrated.err
    assert catwalk("show", CHAMPION, "--json").code == 0
    assert {row["run_id"] for row in catwalk("runs", "--json").json()} == {row["run_id"] for row in listed.json()}


def test_the_store_can_be_named_on_the_command_line_and_is_found_here(
    store: Store, catwalk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shapes_run(Ledger(store), "20261123T030000Z-00000001")
    shapes_run(Ledger(store), "20261123T030000Z-00000001").update_summary(lambda summary: summary)
    monkeypatch.delenv("CATWALK_STORE")
    unset = catwalk("runs")
    assert (unset.code, unset.out) == (1, "")
    assert unset.err.startswith("catwalk: CATWALK_STORE is not set; set it to the store of the runs, such as s3://")
    named = catwalk("--store", store.url, "runs", "--json")
    assert [row["run_id"] for row in named.json()] == ["20261123T030000Z-00000001"]
    monkeypatch.delenv("CATWALK_STORE")
    monkeypatch.chdir(tmp_path)
    Path(tmp_path / "runs of tests").rename(tmp_path / ".catwalk-ledger")
    assert catwalk("runs", "--json").json() == named.json()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file://ledger", "CATWALK_STORE must look like file:///folder, with an absolute path, not 'file://ledger'"),
        ("gs://bucket", "CATWALK_STORE must look like s3://bucket, s3://bucket/prefix or file:///folder, not 'gs:"),
        ("file:///proc/nowhere", "there is no folder /proc/nowhere; correct CATWALK_STORE, or let a run write there"),
    ],
)
def test_an_invalid_location_is_one_line(catwalk: Any, url: str, message: str) -> None:
    done = catwalk("--store", url, "runs")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"catwalk: {message}") and done.err.count("\n") == 1


def test_the_exporter_serves_it(ledger: Ledger, tmp_path: Path) -> None:
    run = shapes_run(ledger)
    run_stages(run, Silent())
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'monitoring'}", "CATWALK_STATSD": ""}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "catwalk_exporter", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: "catwalk_store_up 1" in asked(port, "/metrics"), "the ledger is read")
        assert f'run_id="{run.run_id}"' in asked(port, "/metrics")
        assert "<html" in asked(port, f"/runs/{run.run_id}")
    finally:
        process.terminate()
        process.wait(60)


def asked(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        time.sleep(0.1)
        return ""
