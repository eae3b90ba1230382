"""Four foreign models, each from its first run on: killed and retried, better, worse, never finished."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from catwalk.ledger.models.champion import in_service
from catwalk.ledger.runs import Ledger, Run
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.tracking.journal import LOST_SECONDS
from stack.settings import PROJECT
from tests.models.held import HELD
from tests.support.commands import command_line
from tests.support.servers import Scrape, StatsdExporter, wait_until

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parent
_OURS = ("CATWALK_", "AIRFLOW_", "RANK", "LOCAL_RANK")


@dataclass(frozen=True)
class Case:
    """A foreign model."""

    name: str
    weak: list[str]
    """Arguments of a version that is clearly worse than the one without any."""
    metric: str
    """Its headline."""
    slices: set[str] = field(default_factory=set)
    epochs: tuple[int, ...] = ()
    """What the version without arguments logs."""
    held: tuple[str, str] = ("test", "1")
    """Where the first run is killed."""


CHURN = Case("churn", ["--depth", "1"], "log_loss", {"country"})
DEMAND = Case("demand", ["--knots", "4"], "mae", {"day"})
TICKETS = Case("tickets", ["--features", "512"], "accuracy", epochs=(1, 2, 3, 4, 5))
STEPS = Case("steps", ["--width", "2"], "accuracy", epochs=(50, 100, 150, 200, 250, 300), held=("epoch", "3"))


class Author:
    """Starts the programs of one model as its author does, in a folder of their own."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.program = str(FOLDER / case.name / "tracked.py")
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *command: str, key: str = "") -> subprocess.Popen[str]:
        own = {"CATWALK_SHIP": "1", "CATWALK_RUN_KEY": key, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *command],
            cwd=self.folder,
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def trains(self, *arguments: str, key: str = "") -> str:
        """The last line that the program writes: the decision."""
        process = self.start(self.program, *arguments, key=key)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out.splitlines()[-1]

    def held(self, method: str, number: str, *arguments: str, key: str = "") -> subprocess.Popen[str]:
        """A training that stands still at the nth call of a method of its run."""
        process = self.start("-m", "tests.models.held", method, number, self.program, *arguments, key=key)
        assert process.stdout and process.stderr
        for line in process.stdout:
            if line.strip() == HELD:
                return process
        raise AssertionError(process.stderr.read())


@contextmanager
def author(case: Case, folder: Path) -> Iterator[Author]:
    """The author of a model; what it has started ends with it."""
    found = Author(case, folder)
    try:
        yield found
    finally:
        for process in found.started:
            process.kill()
            process.communicate()


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait() == -9


def runs() -> list[Run]:
    """Of the ledger, the oldest first."""
    ledger = Ledger(open_store())
    found = {entry.key.split("/")[1] for entry in ledger.store.list("runs/")}
    return sorted((ledger.run(run_id) for run_id in found), key=lambda run: run.record.created)


def numbers(run: Run) -> tuple[int, ...]:
    training = run.training()
    return tuple(epoch.epoch for epoch in training.epochs) if training else ()


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the `catwalk` command on the test's ledger."""
    return command_line(capfd, monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program is started; a ledger lies beside it, unless the test has another one."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    (tmp_path / "author").mkdir()
    return tmp_path / "author"


def test_a_table_with_a_rare_class(folder: Path, command: Any) -> None:
    _live(CHURN, folder, command)


def test_a_regression_with_heavy_tails(folder: Path, command: Any) -> None:
    _live(DEMAND, folder, command)


def test_text_with_a_hundred_classes_in_s3(folder: Path, s3_store: Store, command: Any) -> None:
    _live(TICKETS, folder, command)


def test_a_network_that_trains_by_steps_in_prometheus_terms(
    folder: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = StatsdExporter()
    monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{exporter.port}")
    try:
        _, strong, weak = _live(STEPS, folder, command)
        for run in (strong, weak):
            scrape = exporter.until(lambda found, of=run: _curve(found, of) == _losses(of))
            assert scrape.total("ml_test_accuracy_ratio", run_id=run.run_id) == run.summary().test_accuracy
    finally:
        exporter.stop()


def _live(case: Case, folder: Path, command: Any) -> tuple[Run, Run, Run]:
    """The life of a model: its first version, a better one, a worse one; and one that nobody finishes."""
    with author(case, folder) as one:
        first = _killed_and_retried(one)
        _complete(first, case, "first")
        assert one.trains().startswith("Ship: better than the champion.")
        strong = runs()[-1]
        _complete(strong, case, "better")
        assert numbers(strong) == case.epochs
        assert one.trains(*case.weak).startswith("Hold: worse")
        weak = runs()[-1]
        _complete(weak, case, "worse")
        assert in_service(strong) and not in_service(weak)
        _never_finished(one, command)
        _shown(case, command, strong, weak)
    return first, strong, weak


def _killed_and_retried(one: Author) -> Run:
    process = one.held(*one.case.held, *one.case.weak, key="monday")
    [run] = runs()
    if one.case.held[0] == "epoch":
        wait_until(lambda: len(numbers(run)) == int(one.case.held[1]) - 1)
    killed(process)
    assert one.trains(*one.case.weak, key="monday").startswith("Ship: no champion yet")
    assert [found.run_id for found in runs()] == [run.run_id]
    assert [attempt.outcome for attempt in run.attempts()] == [None, "succeeded"]
    if one.case.held[0] == "epoch":
        assert numbers(run) == one.case.epochs  # from both attempts
    return run


def _complete(run: Run, case: Case, reason: str) -> None:
    """All that a ledger has of a run that was decided."""
    record, summary, training = run.record, run.summary(), run.training()
    model, evaluation, decision = run.model(), run.evaluation(), run.decision()
    assert summary and training and model and evaluation and decision
    assert (record.model, record.trigger, record.ships) == (case.name, "schedule", True)
    assert (summary.state, summary.decision, summary.reason) == ("succeeded", decision.decision, reason)
    assert summary.parameters == record.parameters and record.parameters
    assert training.model_sha256 == model.sha256 == decision.model_sha256
    assert evaluation.model_sha256 in ("", model.sha256)  # whoever tests first has not said yet which model it is
    assert evaluation.examples >= 1_000 and case.metric in evaluation.scores
    assert set(evaluation.slices) >= case.slices
    assert run.store.exists(run.key("outcome.safetensors")) and not summary.error


def _curve(scrape: Scrape, run: Run) -> dict[int, float]:
    """Step → loss, as statsd_exporter shows them."""
    labels = ((dict(has), value) for (_, has), value in scrape.of("ml_epoch_loss").items())
    return {int(has["epoch"]): value for has, value in labels if has["run_id"] == run.run_id}


def _losses(run: Run) -> dict[int, float | None]:
    """The same, as the ledger has them."""
    training = run.training()
    return {epoch.epoch: epoch.train_loss for epoch in training.epochs} if training else {}


def _never_finished(one: Author, command: Any) -> None:
    process = one.held("model", "1")
    run = runs()[-1]
    assert command("runs", "--json").json()[0]["state"] == "running"
    killed(process)
    run.update_summary(lambda summary: replace(summary, updated=time.time() - LOST_SECONDS - 60))
    assert "lost" in command("runs").out


def _shown(case: Case, command: Any, strong: Run, weak: Run) -> None:
    listed = command("runs").out
    assert all(words in listed for words in ("ship first", "ship better", "hold worse", "lost"))
    shown = command("show", "champion").out
    assert strong.run_id in shown and "Ship: better than the champion." in shown.replace("\n", " ")
    training = strong.training()
    assert training and f"({training.model_bytes:,} bytes)" in shown
    assert all(words in shown for words in (case.metric.replace("_", " "), *case.slices))
    compared = command("compare", weak.run_id, strong.run_id)
    assert compared.code == 0 and case.weak[0].removeprefix("--") in compared.out
