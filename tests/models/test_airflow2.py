"""A user's model in a real Airflow 2: its program, started as docs/your-own-model.md shows it, and its code."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from catwalk.ledger.models.champion import in_service
from catwalk.ledger.runs import Ledger, Run
from catwalk.storage.opening import open_store
from stack.settings import PROJECT
from tests.models.airflow2.environment import installed
from tests.models.airflow2.scheduler import Airflow
from tests.support.servers import StatsdExporter, wait_until
from tests.support.wheels import Environment, build

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MODELS = PROJECT / "tests" / "models"
STRONG = (MODELS / "churn" / "tracked.py").read_text()
WEAK = STRONG.replace('"--depth", type=int, default=3', '"--depth", type=int, default=1')
HELD = 'import runpy\n\nimport held\n\nheld.hold("test", 1)\nrunpy.run_path("tracked.py", run_name="__main__")\n'
"""A program that stops before it tests."""
BY_HAND = "2026-01-02T00:00:00+00:00"
"""Logical date of the DAG run that no one has scheduled."""


@dataclass(frozen=True)
class Author:
    """A user with a model, an Airflow 2 and a statsd_exporter."""

    wheel: Path
    airflow: Airflow
    exporter: StatsdExporter

    def folder(self, name: str) -> Path:
        """An empty ledger."""
        made = self.airflow.home / name
        made.mkdir()
        return made

    def schedules(self, name: str, dag: str, folder: Path) -> None:
        """Waits until Airflow finds this DAG."""
        (self.airflow.home / "dags" / f"{name}.py").write_text(dag.replace("FOLDER", str(folder)))

    def succeeds(self, dag_id: str, trigger: str, tasks: int = 1) -> str:
        """Returns the one DAG run of this kind, once all its tasks are done."""
        done = ["success"] * tasks

        def found() -> list[str]:
            states = self.airflow.states(dag_id).items()
            return [run_id for run_id, of in states if run_id.startswith(trigger) and of == done]

        # Airflow 2's scheduler starts a process for each file and each task; on a busy machine, that takes minutes.
        [run_id] = wait_until(found, f"a {trigger} run of {dag_id} that succeeds", seconds=480)
        return run_id


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Author]:
    """Runs with a scheduler."""
    wheel, home = build(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    with installed(wheel) as environment:
        exporter = StatsdExporter()
        own = {"CATWALK_STORE": f"file://{home}/ledger", "CATWALK_STATSD": f"127.0.0.1:{exporter.port}"}
        airflow = Airflow(environment, home, own)
        try:
            airflow.run("db", "migrate")
            with airflow.scheduler():
                yield Author(wheel, airflow, exporter)
        finally:
            exporter.stop()


def runs(folder: Path) -> list[Run]:
    """Summaries of the ledger in this folder, oldest first."""
    if not (folder / "ledger").exists():
        return []
    ledger = Ledger(open_store(f"file://{folder}/ledger"))
    found = {entry.key.split("/")[1] for entry in ledger.store.list("runs/")}
    return sorted((ledger.run(run_id) for run_id in found), key=lambda run: run.record.created)


def decided(run: Run) -> tuple[str, str]:
    """How its run ended, and why it ships or not."""
    summary = run.summary()
    assert summary is not None
    return summary.state, summary.reason


def test_a_program_that_airflow_starts(author: Author) -> None:
    folder = author.folder("author")
    Environment.of(folder / ".venv", author.wheel).add("scikit-learn")
    shutil.copy(MODELS / "held.py", folder)
    (folder / "tracked.py").write_text(WEAK)
    first = _killed_and_retried(author, folder)
    second = _better(author, folder, first)
    _cleared(author, folder, second)
    for run in (first, second):
        _shown(author.exporter, run)


def _killed_and_retried(author: Author, folder: Path) -> Run:
    (folder / "churn.py").write_text(HELD)
    author.schedules("churn", _dag_of_the_page(), folder)
    wait_until(lambda: any(run.model() for run in runs(folder)), "a run that has a model")
    [run] = runs(folder)
    (folder / "churn.py").write_text(WEAK)
    os.kill(run.attempts()[0].pid, signal.SIGKILL)
    dag_run_id = author.succeeds("churn", "scheduled__")
    assert [found.run_id for found in runs(folder)] == [run.run_id]
    record = run.record
    assert (record.dag_id, record.dag_run_id, record.trigger, record.ships) == ("churn", dag_run_id, "schedule", True)
    assert (record.run_key, record.generation) == (f"airflow:churn/{dag_run_id}/train/-1", 1)
    assert [attempt.outcome for attempt in run.attempts()] == [None, "succeeded"]
    assert decided(run) == ("succeeded", "first") and in_service(run)
    return run


def _better(author: Author, folder: Path, first: Run) -> Run:
    (folder / "churn.py").write_text(STRONG)
    author.airflow.run("dags", "trigger", "churn", "--exec-date", BY_HAND)
    dag_run_id = author.succeeds("churn", "manual__")
    [run] = [found for found in runs(folder) if found.run_id != first.run_id]
    record = run.record
    assert (record.dag_run_id, record.trigger, record.ships) == (dag_run_id, "manual", True)
    assert decided(run) == ("succeeded", "better") and in_service(run) and not in_service(first)
    return run


def _cleared(author: Author, folder: Path, old: Run) -> None:
    author.airflow.run("tasks", "clear", "churn", "--yes", "--start-date", BY_HAND, "--end-date", BY_HAND)
    new = wait_until(lambda: next((run for run in runs(folder)[2:] if run.decision()), None), "a new generation")
    assert new is not None and len(runs(folder)) == 3
    assert (new.record.run_key, new.record.dag_run_id) == (old.record.run_key, old.record.dag_run_id)
    assert (new.record.generation, new.record.previous_generation) == (2, old.run_id)
    assert new.record.config == old.record.config and in_service(old) and not in_service(new)


def _dag_of_the_page() -> str:
    """The DAG as docs/your-own-model.md shows it for Airflow 2."""
    page = (PROJECT / "docs" / "your-own-model.md").read_text()
    found = dict(re.findall(r"^```python (dag|airflow 2)\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    return found["dag"].replace("from airflow.sdk import dag, task\n", found["airflow 2"])


def _shown(exporter: StatsdExporter, run: Run) -> None:
    """Checks that the result of its test has reached statsd_exporter."""
    evaluation = run.evaluation()
    assert evaluation is not None
    labels = {"model": "churn", "run_id": run.run_id, "metric": "log_loss"}
    series, loss = ("ml_test_metric", frozenset(labels.items())), evaluation.scores["log_loss"]
    exporter.until(lambda scrape: scrape.samples.get(series) == loss)


def test_code_in_mapped_tasks(author: Author) -> None:
    folder = author.folder("mapped")
    (folder / "churn.py").write_text(STRONG)
    author.schedules("depths", (MODELS / "airflow2" / "depths.py").read_text(), folder)
    dag_run_id = author.succeeds("depths", "scheduled__", tasks=2)
    found = {run.record.run_key: run for run in runs(author.airflow.home)}
    keys = [f"airflow:depths/{dag_run_id}/train/{index}" for index in (0, 1)]
    assert sorted(found) == keys
    assert [found[key].record.config["params"]["depth"] for key in keys] == [1, 3]
    assert all(found[key].record.ships and decided(found[key])[0] == "succeeded" for key in keys)
    assert in_service(found[keys[1]]) and not in_service(found[keys[0]])
