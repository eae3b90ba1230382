"""Four users' models, each from its first run on: killed and retried, better, worse, never finished."""

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

from catwalk.environment.heartbeats import Heartbeats
from catwalk.ledger.models.champion import in_service
from catwalk.ledger.runs import Ledger, Run
from catwalk.replay.points import run_points
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from stack.parts.health import get
from stack.settings import PROJECT
from tests.grafana.measured import Measured
from tests.grafana.promql import all_queries
from tests.models.held import HELD
from tests.support.commands import command_line
from tests.support.points import of_ledger, of_prometheus
from tests.support.servers import StatsdExporter, wait_until

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parent
_OURS = ("CATWALK_", "AIRFLOW_", "RANK", "LOCAL_RANK")


@dataclass(frozen=True)
class Case:
    """A user's model."""

    name: str
    weak: list[str]
    """Arguments of a version that is clearly worse than the one without any."""
    metric: str
    """Its headline."""
    figure: str
    """A text of its report."""
    slices: set[str] = field(default_factory=set)
    epochs: tuple[int, ...] = ()
    """What the version without arguments logs."""
    held: tuple[str, str] = ("test", "1")
    """Where the first run is killed."""
    logged: tuple[tuple[str, str], ...] = ()
    """Metrics of its epochs, and the split of each."""
    without: set[str] = field(default_factory=set)
    """Panels about features that it does not have."""

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """What a reader selects, one after the other."""
        return [(self.metric, "validation"), *self.logged]


ABOUT_A_MODEL = ("catwalk-home", "catwalk-run", "catwalk-runs", "catwalk-model")
LINKS = ("exporter", "airflow", "courier")
"""Variables with the addresses of servers, which are not among these."""
# Panels without a figure, because the model's author has logged none for them.
NOTHING_OF_THE_DATA = {
    "model: Change of the data, of its limit", "model: Share of each class", "model: Statistic of the data: $statistic",
    "model: Statistics of latest and champion", "model: statistic",
}  # fmt: skip
NOTHING_OF_THE_OPTIMIZER = {
    "run: Gradient norm", "run: Learning rate", "run: Validation accuracy of each class", "runs: Examples per second",
}  # fmt: skip
NO_LOSS = {"run: Loss, train and validation", "runs: Loss by epoch or step"}
NO_ACCURACY = {"run: Accuracy, train and validation", "runs: Accuracy by epoch or step"}
NO_EPOCHS = NO_LOSS | NO_ACCURACY | {
    "run: Metric by epoch or step: $metric", "run: metric", "runs: Metric by epoch or step: $metric",
    "runs: Time of an epoch", "runs: split",
}  # fmt: skip
NO_CLASSES = {
    "model: Accuracy of each class", "model: Calibration error", "model: Calibration error in service",
    "model: Test accuracy", "model: Test loss", "model: Worst class",
    "model: Worst class in service", "run: Confusion matrix", "run: Test accuracy",
    "run: Test figures of each class",
    "runs: Accuracy of each class", "runs: Test accuracy and the champion",
}  # fmt: skip
LOGS_LITTLE = NOTHING_OF_THE_DATA | NOTHING_OF_THE_OPTIMIZER
CHURN = Case(
    "churn", ["--depth", "1"], "log_loss", "Precision and recall", {"country"},
    without=LOGS_LITTLE | NO_EPOCHS | NO_CLASSES,
)  # fmt: skip
DEMAND = Case(
    "demand", ["--knots", "4"], "mae", "Error by true value", {"day"}, without=LOGS_LITTLE | NO_EPOCHS | NO_CLASSES
)
TICKETS = Case(
    "tickets", ["--features", "512"], "accuracy", "Test accuracy by class",
    epochs=(1, 2, 3, 4, 5), logged=(("accuracy", "validation"),),
    without=LOGS_LITTLE | NO_LOSS | {"run: Confusion matrix"},  # ten thousand cells are more than there is room for
)  # fmt: skip
STEPS = Case(
    "steps", ["--width", "2"], "accuracy", "Confusion matrix",
    epochs=(50, 100, 150, 200, 250, 300), held=("epoch", "3"),
    logged=(("loss", "train"),), without=LOGS_LITTLE | NO_ACCURACY,
)  # fmt: skip


class Author:
    """Starts the programs of one model as its author does, in a separate folder."""

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
        """Returns the last line that the program writes: the decision."""
        process = self.start(self.program, *arguments, key=key)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out.splitlines()[-1]

    def held(self, method: str, number: str, *arguments: str, key: str = "") -> subprocess.Popen[str]:
        """Starts a training that stops at the nth call of a method of its run."""
        process = self.start("-m", "tests.models.held", method, number, self.program, *arguments, key=key)
        assert process.stdout and process.stderr
        for line in process.stdout:
            if line.strip() == HELD:
                return process
        raise AssertionError(process.stderr.read())


@contextmanager
def author(case: Case, folder: Path) -> Iterator[Author]:
    """The author of a model; everything that it has started ends with it."""
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
    """Summaries of the ledger, oldest first."""
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
    (tmp_path / "ledger").mkdir()
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    (tmp_path / "author").mkdir()
    return tmp_path / "author"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """The servers that watch all four models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATWALK_STORE", tmp_path_factory.mktemp("ledger").as_uri())
        started = Measured(tmp_path_factory.mktemp("servers"), StatsdExporter())
    yield started
    started.stop()


@pytest.fixture
def watching(servers: Measured, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same servers for the ledger of a test, once that is known."""

    def start() -> Measured:
        monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{servers.statsd_exporter.port}")
        servers.exporter.stop()
        servers.exporter.start()
        return servers

    return start


def test_a_table_with_a_rare_class(folder: Path, watching: Any, command: Any) -> None:
    _live(CHURN, folder, watching(), command)


def test_a_regression_with_heavy_tails(folder: Path, watching: Any, command: Any) -> None:
    _live(DEMAND, folder, watching(), command)


def test_text_with_a_hundred_classes_in_s3(folder: Path, s3_store: Store, watching: Any, command: Any) -> None:
    _live(TICKETS, folder, watching(), command)


def test_a_network_that_trains_by_steps(folder: Path, watching: Any, command: Any) -> None:
    _live(STEPS, folder, watching(), command)


def _live(case: Case, folder: Path, servers: Measured, command: Any) -> None:
    """Follows the life of a model: its first version, a better one, a worse one, and one that is never finished."""
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
        for run in (first, strong, weak):
            _arrived(servers, run)
        lost = _never_finished(one, command)
        _shown(case, command, strong, weak)
        _seen(servers, case, strong, weak, lost)
        _reported(servers, case, weak, command)


def _arrived(servers: Measured, run: Run) -> None:
    """Checks that Prometheus has every point of the ledger, with its value, and nothing else."""
    expected = of_ledger(run_points(run))
    assert expected
    wait_until(lambda: of_prometheus(servers.prometheus, run.run_id) == expected, f"the points of run {run.run_id}")


def _seen(servers: Measured, case: Case, strong: Run, weak: Run, lost: Run) -> None:
    """Checks that the exporter, the rules and the dashboards show the current state."""
    ask = servers.prometheus.query
    latest = lost if lost.evaluation() else weak  # the newest tested run of the model, whatever became of it then
    known = [
        f'catwalk_run_state{{run_id="{lost.run_id}", state="lost"}} == 1',
        f'catwalk_model_version_info{{run_id="{strong.run_id}", role="champion"}}',
        f'catwalk_model_version_info{{run_id="{latest.run_id}", role="latest"}}',
    ]
    for expression in known:
        wait_until(lambda asked=expression: ask(asked), expression)  # type: ignore[misc]
    wait_until(lambda: "PipelineRunFailed" in servers.prometheus.alerts(), "an alert on the run that is lost")
    servers.settle()
    runs = f"({strong.run_id}|{weak.run_id})"
    reader = {"model": case.name, "run": weak.run_id, "runs": runs, "recent": runs, "champion": strong.run_id}
    wait_until(lambda: _undrawn(servers, case, reader) <= case.without, "a whole step of the range has passed")
    assert _undrawn(servers, case, reader) == case.without


def _reported(servers: Measured, case: Case, run: Run, command: Any) -> None:
    """Checks that the exporter serves the report."""
    assert command("report", run.run_id).code == 0
    page = get(f"http://127.0.0.1:{servers.exporter.port}/runs/{run.run_id}")
    assert page
    assert [words for words in (case.figure, "Hold", *case.slices) if words not in page.decode()] == []


def _undrawn(servers: Measured, case: Case, reader: dict[str, str]) -> set[str]:
    """Returns what dashboards about a model have no figure for, whichever of its metrics is selected."""
    found: dict[str, bool] = {}
    for metric, split in case.chosen:
        variables = {**reader, "metric": metric, "split": split, "statistic": "", "dag": ".*", "newest": "10"}
        for query in all_queries():
            if query.dashboard in ABOUT_A_MODEL and query.place not in LINKS:
                answer = servers.ask(query, variables, 3_600, time.time())
                place = f"{query.dashboard.removeprefix('catwalk-')}: {query.place}"
                found[place] = found.get(place, False) or any(map(_has_figure, answer))
    return {place for place, drawn in found.items() if not drawn}


def _has_figure(series: dict[str, Any]) -> bool:
    """Returns whether it is more than a placeholder."""
    values = series.get("values") or [series["value"]]
    return any(value != "NaN" for _, value in values)


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
    """Checks that the ledger has everything about a run with a decision."""
    record, summary, training = run.record, run.summary(), run.training()
    model, evaluation, decision = run.model(), run.evaluation(), run.decision()
    assert summary and training and model and evaluation and decision
    assert (record.model, record.trigger, record.ships) == (case.name, "schedule", True)
    assert (summary.state, summary.decision, summary.reason) == ("succeeded", decision.decision, reason)
    assert summary.parameters == record.parameters and record.parameters
    assert training.model_sha256 == model.sha256 == decision.model_sha256
    assert evaluation.model_sha256 in ("", model.sha256)  # the model is unknown until it is logged
    assert evaluation.examples >= 1_000 and case.metric in evaluation.scores
    assert set(evaluation.slices) >= case.slices
    assert run.store.exists(run.key("outcome.safetensors")) and not summary.error


def _never_finished(one: Author, command: Any) -> Run:
    process = one.held("model", "1")
    run = runs()[-1]
    assert command("runs", "--json").json()[0]["state"] == "running"
    killed(process)
    run.update_summary(lambda summary: replace(summary, updated=time.time() - Heartbeats().lost_after_seconds - 60))
    assert "lost" in command("runs").out
    return run


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
