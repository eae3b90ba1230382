"""Retraining in containers: a DAG run on the real dataset, a worker that dies, and the stack's reports about itself."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from catwalk.ledger.runs import Run, new_run_id
from tests.containers.composed import REAL, ComposedStack, service
from tests.integration.conftest import (
    DagRun,
    assert_all_stored,
    epochs_of,
    in_exporter,
    trigger,
)
from tests.integration.test_posture import ask
from tests.support.servers import wait_until
from tests.support.serving import logged
from tests.support.small import SMALL

pytestmark = [pytest.mark.integration, pytest.mark.containers, pytest.mark.timeout(3600)]

TASKS = ["ingest", "train", "test", "decide", "publish"]
SOURCE = "fashion-mnist" if REAL else "synthetic"
SHORT: dict[str, Any] = {**SMALL, "source": SOURCE, "train_examples": 2_000}
LONG = {**SHORT, "epochs": 15, "batch_size": 4, "peak_learning_rate": 0.004, "seed": 1}
"""A training of some seconds, long enough for its worker to die in the middle of it."""
PATIENCE = 900.0
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@pytest.fixture(scope="module")
def finished() -> dict[str, DagRun]:
    """The DAG run of :func:`first`."""
    return {}


def first(stack: ComposedStack, finished: dict[str, DagRun]) -> DagRun:
    """A DAG run that has succeeded, for all tests that look at one."""
    if "first" not in finished:
        dag_run = trigger(stack, SHORT)
        dag_run.wait("success", PATIENCE)
        finished["first"] = dag_run
    return finished["first"]


def test_a_dag_run_stores_everything_and_all_its_points_are_in_prometheus(
    stack: ComposedStack, finished: dict[str, DagRun]
) -> None:
    dag_run = first(stack, finished)
    assert dag_run.states() == dict.fromkeys(TASKS, "success")
    assert dag_run.run.record.parameters["source"] == SOURCE
    assert assert_all_stored(stack, dag_run.run) > 100
    wait_until(lambda: in_exporter(stack, dag_run.run, "succeeded"), "the exporter shows the end")


def test_the_api_server_shows_the_log_of_a_workers_task(stack: ComposedStack, finished: dict[str, DagRun]) -> None:
    dag_run = first(stack, finished)
    hosts = {record.stage: record.host for record in dag_run.run.attempts()}
    assert worker(stack, hosts["test"])
    log = dag_run.log("test", 1)
    assert "precision" in log and "ankle-boot" in log


def worker(stack: ComposedStack, host: str) -> str:
    """The container of the worker with this host name."""
    [found] = [one["Id"] for one in stack.containers("airflow-worker") if one["Config"]["Hostname"] == host]
    return str(found)


def test_the_doctor_finds_nothing_wrong(stack: ComposedStack, finished: dict[str, DagRun], left_out: set[str]) -> None:
    first(stack, finished)
    done = stack.catwalk("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) > 10
    allowed = tuple(f"WARN {name} " for name in left_out)
    assert [line for line in lines if not line.startswith(("OK ", " ", *allowed))] == []


def test_a_file_comes_out_of_the_containers(stack: ComposedStack, finished: dict[str, DagRun]) -> None:
    run_id = first(stack, finished).run.run_id
    assert run_id in stack.compose("run", "--rm", "-T", "catwalk", "runs")
    assert "<html" in stack.compose("run", "--rm", "-T", "catwalk", "report", run_id, "--out", "-")


def test_the_champion_is_served_and_prometheus_counts_its_answers(
    stack: ComposedStack, finished: dict[str, DagRun]
) -> None:
    first(stack, finished)
    wait_until(lambda: ask(stack.settings, "serve", "/readyz")[0] == 200, "the server has a version", PATIENCE)
    picture = [[9 * column for column in range(28)] for _ in range(28)]

    def predicted() -> Any:
        status, body = ask(stack.settings, "serve", "/predict", "POST", {"inputs": [picture] * 3})
        assert status == 200, body
        return json.loads(body)

    answer = logged(predicted)
    assert len(answer["predictions"]) == 3
    assert stack.ledger.run(answer["version"]).decision()
    counted = f'sum(catwalk_service_predictions_total{{version="{answer["version"]}", job="services"}}) >= 3'
    wait_until(lambda: stack.query(counted), "Prometheus counts the answers")


def test_a_dead_workers_training_is_finished_by_the_other_with_the_same_bits(stack: ComposedStack) -> None:
    dag_run = trigger(stack, LONG)
    killed = worker(stack, dag_run.attempt("train", 1).host)
    wait_until(lambda: dag_run.epochs(1) >= 2, "two epochs", PATIENCE)
    stack.engine.run("kill", killed)  # which an engine takes for an order: it does not start the container again
    try:
        assert dag_run.epochs(1) < LONG["epochs"], "it died in the middle"
        undisturbed = run_by_hand(stack, LONG)
        dag_run.wait("success", PATIENCE)
        assert_resumed(stack, dag_run.run, killed)
        assert weights(dag_run.run) == weights(undisturbed)
        assert_all_stored(stack, dag_run.run)
    finally:
        stack.engine.run("start", killed)
    wait_until(lambda: stack.healthy("airflow-worker"), "both workers are healthy again", PATIENCE)


def run_by_hand(stack: ComposedStack, knobs: dict[str, Any]) -> Run:
    """The same training from the command line, which nothing happens to."""
    run_id = new_run_id()
    flags = [text for name, value in knobs.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    done = stack.catwalk("run", "--run-id", run_id, *flags)
    assert done.returncode == 0, done.stderr
    return stack.ledger.run(run_id)


def assert_resumed(stack: ComposedStack, run: Run, killed: str) -> None:
    trainings = [record for record in run.attempts() if record.stage == "train"]
    assert [record.outcome for record in trainings] == [None, "succeeded"], "the killed attempt has no end"
    assert worker(stack, trainings[1].host) != killed
    assert epochs_of(run, 2) == LONG["epochs"]


def weights(run: Run) -> str:
    training = run.training()
    assert training is not None
    assert training.reproducible
    return str(training.model_sha256)


def test_every_container_has_stayed_below_its_limit(
    stack: ComposedStack, finished: dict[str, DagRun], capsys: pytest.CaptureFixture[str]
) -> None:
    first(stack, finished)
    used = dict(line.split("\t") for line in stats(stack).splitlines())
    rows = []
    for one in stack.containers():
        assert not one["State"]["OOMKilled"], service(one)
        if one["State"]["Running"]:
            limit = one["HostConfig"]["Memory"] / 2**20
            assert limit > 0
            rows.append(f"{service(one):24}{megabytes(used[one['Id']]):8.0f} of {limit:6.0f} MiB")
            assert megabytes(used[one["Id"]]) < limit
    with capsys.disabled():
        print("\nmemory of each container, and its limit", *sorted(rows), sep="\n  ")


def stats(stack: ComposedStack) -> str:
    return stack.engine.run("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}\t{{.MemUsage}}")


def megabytes(usage: str) -> float:
    """Memory in use, from the output of ``docker stats``, such as 31.4MiB / 512MiB."""
    found = re.match(r"([\d.]+)([KMG]?i?B)", usage)
    assert found is not None, usage
    return float(found[1]) * UNITS[found[2]] / 2**20
