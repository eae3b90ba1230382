"""The DAG in real Airflow: what it stores and sends, and what happens if something is killed or stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import psutil
import pytest

from catwalk.clients.airflow_api import CHAMPION_ASSET, AirflowError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries
from catwalk.ledger.sweep import chosen
from stack.settings import PROJECT
from tests.conftest import RunningStack, wait_until
from tests.grafana.asking import ask
from tests.grafana.promql import Query, airflow_queries
from tests.integration.conftest import (
    DAG,
    EASY,
    SLOW_DAG,
    DagRun,
    assert_all_stored,
    finish,
    gone,
    in_exporter,
    start_run,
    trigger,
)
from tests.support.small import SLOW, SMALL

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TASKS = ["ingest", "train", "test", "decide", "publish"]
SCHEDULE_DELAY, FAILED_TASKS = "Schedule delay", "Failed tasks"
"""Panels that a successful manual run leaves empty."""


@pytest.fixture(scope="module")
def finished() -> dict[str, DagRun]:
    """The DAG run of :func:`first`."""
    return {}


def first(stack: RunningStack, finished: dict[str, DagRun]) -> DagRun:
    """A successful DAG run, for all tests that look at one."""
    if "first" not in finished:
        dag_run = trigger(stack, SMALL)
        dag_run.wait("success")
        finished["first"] = dag_run
    return finished["first"]


def test_a_dag_run_stores_and_sends_everything(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    dag_run = first(stack, finished)
    assert dag_run.states() == dict.fromkeys(TASKS, "success")
    assert_all_stored(stack, dag_run.run)
    wait_until(lambda: in_exporter(stack, dag_run.run, "succeeded"), "the exporter shows the end")
    record = dag_run.run.record
    assert (record.trigger, record.dag_id, record.dag_run_id) == ("manual", DAG, dag_run.dag_run_id)
    log = dag_run.log("test", 1)
    assert "precision" in log and "ankle-boot" in log, "the task's log has the table of classes"


def test_what_runs_tasks_has_loaded_torch_for_them_all(stack: RunningStack) -> None:
    scheduler = psutil.Process(stack.supervisor.processes()["airflow-scheduler"])
    workers = [child for child in scheduler.children() if "LocalExecutor" in "".join(child.cmdline())]
    assert workers
    for worker in workers:
        assert any("libtorch" in mapped.path for mapped in worker.memory_maps())


def test_airflows_own_metrics_arrive_with_their_labels(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    """Names, units and labels are the mapping's; nothing that Airflow sent was unmapped or in conflict."""
    first(stack, finished)
    for task in TASKS:
        count = f'airflow_task_duration_seconds_count{{dag_id="{DAG}", task_id="{task}"}}'
        wait_until(lambda count=count: stack.query(count), f"the duration of {task}")  # type: ignore[misc]
        [(_, seconds)] = stack.query(count.replace("_count", "_sum"))
        assert 0 < seconds < 600, "seconds, not milliseconds"
    wait_until(
        lambda: stack.query(f'airflow_dagrun_duration_seconds_count{{dag_id="{DAG}", state="success"}}'),
        "the duration of the DAG run",
    )
    for component in ("scheduler", "dag_processor", "triggerer"):
        beats = f'statsd_exporter:airflow_heartbeats:increase5m{{component="{component}"}} > 0'
        wait_until(lambda beats=beats: stack.query(beats), f"heartbeats of the {component}")  # type: ignore[misc]
    for trouble in ("statsd_exporter_events_unmapped_total", "statsd_exporter_events_conflict_total"):
        assert [entry for entry in stack.query(f"sum by (type) ({trouble}) > 0") if entry] == [], trouble
    for trouble in ("statsd_exporter_sample_errors_total", "statsd_exporter_tag_errors_total"):
        assert stack.query(f"sum ({trouble}) > 0") == [], trouble
    ill = "catwalk_airflow_component_healthy == 0"
    wait_until(lambda: stack.query(ill) == [], "all are healthy; a busy machine may delay one")


def panel_answered(stack: RunningStack, query: Query) -> bool:
    """Returns whether a panel about Airflow shows data of the last half an hour."""
    variables = {"model": "", "recent": "", "dag": DAG}
    return bool(ask(stack.settings.url("prometheus"), query, variables, time.time(), seconds=1_800, scrape=1))


def test_a_dag_run_fills_the_panels_about_airflow(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    first(stack, finished)
    queries = [query for query in airflow_queries() if query.place not in (SCHEDULE_DELAY, FAILED_TASKS)]
    assert len(queries) > 10
    for query in queries:
        wait_until(lambda query=query: panel_answered(stack, query), query.name)  # type: ignore[misc]


def test_a_dag_run_that_failed_before_it_wrote_is_notified(stack: RunningStack) -> None:
    """Its parameters make no valid configuration, so the ledger has no run that could have failed."""
    wait_until(lambda: stack.query(f'catwalk_dag_paused{{dag_id="{DAG}"}} == 0'), "the exporter asks Airflow")
    dag_run = trigger(stack, {**SMALL, "hidden": "100000"})
    failed = f'dag_id="{DAG}", dag_run_id="{dag_run.dag_run_id}"'
    try:
        dag_run.wait("failed")
        wait_until(
            lambda: stack.query(f"exporter:dag_run_failed_timestamp_seconds:held{{{failed}}} > 0"), "its failure"
        )
        wait_until(lambda: stack.query(f'ALERTS{{alertname="PipelineRunFailed", {failed}}}'), "the alert")
    finally:
        stack.airflow("DELETE", dag_run.path)
    wait_until(lambda: not stack.query(f'ALERTS{{alertname="PipelineRunFailed", {failed}}}'), "its end")


def test_each_task_links_to_the_report(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    dag_run = first(stack, finished)
    page = f"{stack.settings.url('exporter')}/runs/{dag_run.run.run_id}"
    for task in TASKS:
        assert stack.airflow("GET", f"{dag_run.path}/taskInstances/{task}/links") == {
            "extra_links": {"Run report": page},
            "total_entries": 1,
        }


def test_a_promotion_is_an_event_of_the_champions_asset(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    champion = first(stack, finished).run
    [event] = promotions(stack)
    assert (event["source_dag_id"], event["source_task_id"]) == (DAG, "decide")
    assert (event["extra"]["run_id"], event["extra"]["model"]) == (champion.run_id, "mlp-synthetic")
    held, process = start_run(stack, {**SMALL, "accuracy_floor": 1})
    finish(process)
    assert len(promotions(stack)) == 1, "a held model is not an event"
    command = [str(PROJECT / ".venv" / "bin" / "catwalk"), "promote", held.run_id, "--reason", "the other one"]
    done = subprocess.run(command, env=stack.environment, capture_output=True, text=True, timeout=500, check=True)
    assert done.stderr == ""
    [event, _] = promotions(stack)
    assert (event["extra"]["run_id"], event["extra"]["reason"]) == (held.run_id, "the other one")
    for name in ("deployment", "deployment_of_garments"):
        wait_until(lambda name=name: deployments(stack, name) == ["asset_triggered"] * 2, f"{name} has run for each")  # type: ignore[misc]
    assert deployments(stack, "deployment_of_shapes") == [], "it waits for another model"


def test_a_second_model_is_retrained_and_swept_beside_the_first(
    stack: RunningStack, finished: dict[str, DagRun]
) -> None:
    """Killed and resumed, shipped, announced by its own asset; the best of a sweep's trials goes the same way."""
    other, before = first(stack, finished).run, deployments(stack, "deployment_of_garments")
    dag_run = trigger(stack, {**EASY, "rounds": 4, "pause": 2}, "shapes")
    pid = dag_run.attempt("train", 1).pid
    wait_until(lambda: dag_run.epochs(1) >= 1, "a round")
    os.kill(pid, signal.SIGKILL)
    dag_run.wait("success")
    training, decision = dag_run.run.training(), dag_run.run.decision()
    assert training and [epoch.epoch for epoch in training.epochs] == [1, 2, 3, 4]
    assert (training.attempt, training.reproducible) == (2, True)
    assert decision and (decision.decision, decision.champion) == ("ship", "")
    assert dag_run.run.record.schedule == "0 0 29 2 *"
    wait_until(lambda: deployments(stack, "deployment_of_shapes") == ["asset_triggered"], "its own DAG has deployed it")
    sweep = trigger(stack, EASY, "shapes_sweep")
    sweep.wait("success")
    record = chosen(dag_run.run.store, sweep.run.run_id)
    assert record and [trial.parameters for trial in record.trials] == [{"rounds": 2}, {"rounds": 6}]
    trials = [stack.ledger.run(trial.run_id) for trial in record.trials]
    assert [run.decision() is not None for run in trials] == [run.run_id == record.winner for run in trials]
    command = [str(PROJECT / ".venv" / "bin" / "catwalk"), "runs", "--model", "shapes", "--json"]
    listed = subprocess.run(command, env=stack.environment, capture_output=True, text=True, timeout=500, check=True)
    runs = [dag_run.run, *trials]
    assert {run["run_id"] for run in json.loads(listed.stdout)} == {run.run_id for run in runs}
    for run in runs:
        page = run.store.get(run.key("report.html")).body
        assert b"cross" in page and b"ankle-boot" not in page
        assert_all_stored(stack, run)
    assert {other.record.model, "shapes"} <= set(Champions(dag_run.run.store).models())
    in_service = 'catwalk_champion_info{model=~"shapes|mlp-synthetic"}'
    wait_until(lambda: len(stack.query(in_service)) == 2, "the exporter shows two champions")
    assert deployments(stack, "deployment_of_garments") == before, "it waits for another model"


def test_mapped_tasks_that_log_by_themselves_are_runs_of_their_own_retried_and_cleared(stack: RunningStack) -> None:
    dag_run = trigger(stack, {}, "depths")
    dag_run.wait("success")
    shallow, deep = logged_by(stack, dag_run, generation=1)
    assert [run.record.config["params"]["depth"] for run in (shallow, deep)] == [1, 3]
    assert [[attempt.outcome for attempt in run.attempts()] for run in (shallow, deep)] == [
        ["succeeded"], ["failed", "succeeded"],
    ]  # fmt: skip
    training, error = deep.training(), deep.attempts()[0].error
    assert training and [epoch.epoch for epoch in training.epochs] == [1, 2], "the retry continues the same run"
    assert error == "MemoryError: no room for so deep a model"
    in_service = Champions(deep.store).get("depths")
    assert in_service and in_service[0].run_id == deep.run_id
    for run in (shallow, deep):
        assert_all_stored(stack, run)
    dag_run.clear()
    wait_until(lambda: dag_run.state() != "success", "the cleared DAG run starts again")
    dag_run.wait("success")
    again = logged_by(stack, dag_run, generation=2)
    assert [run.record.previous_generation for run in again] == [shallow.run_id, deep.run_id]
    assert [run.decision() is not None for run in (shallow, deep, *again)] == [True] * 4


def logged_by(stack: RunningStack, dag_run: DagRun, generation: int) -> list[Run]:
    """Returns the runs that mapped tasks of a DAG run have logged, in the tasks' order."""
    found = {summary.run_id for summary in Summaries(stack.ledger.store).read() if summary.model == dag_run.dag_id}
    records = [run for run in map(stack.ledger.run, found) if run.record.generation == generation]
    keys = [f"airflow:{dag_run.dag_id}/{dag_run.dag_run_id}/train/{index}" for index in (0, 1)]
    by_key = {run.record.run_key: run for run in records}
    assert sorted(by_key) == keys and len(records) == 2
    assert {(run.record.trigger, run.record.ships) for run in records} == {("manual", True)}
    return [by_key[key] for key in keys]


def test_clearing_a_finished_dag_run_changes_nothing(stack: RunningStack, finished: dict[str, DagRun]) -> None:
    dag_run = first(stack, finished)
    before = computed(dag_run.run)
    dag_run.clear()
    wait_until(lambda: dag_run.state() != "success", "the cleared DAG run starts again")
    dag_run.wait("success")
    assert computed(dag_run.run) == before
    assert dag_run.states() == dict.fromkeys(TASKS, "success")
    assert {record.number for record in dag_run.run.attempts() if record.stage != "publish"} == {1}


def test_a_bad_parameter_fails_at_once_with_one_line(stack: RunningStack) -> None:
    with pytest.raises(AirflowError, match="with 400"):  # with 400 because of the form's own bounds
        trigger(stack, {**SMALL, "epochs": 100_000})
    dag_run = trigger(stack, {**SMALL, "hidden": "100000"})  # which it has for numbers only
    dag_run.wait("failed")
    tasks = dag_run.tasks()
    assert (tasks["ingest"]["state"], tasks["ingest"]["try_number"]) == ("failed", 1), "no retry can help"
    assert "hidden must be at least 1 and at most 8192, not 100000" in dag_run.log("ingest", 1)
    assert tasks["publish"]["state"] == "success", "the teardown always runs"


def test_a_loss_that_is_not_finite_fails_at_once_and_is_seen(stack: RunningStack) -> None:
    dag_run = trigger(stack, {**SMALL, "peak_learning_rate": 1e6, "epochs": 10})
    dag_run.wait("failed")
    train = dag_run.tasks()["train"]
    assert (train["state"], train["try_number"]) == ("failed", 1)
    [failures] = [query for query in airflow_queries() if query.place == FAILED_TASKS]
    wait_until(lambda: panel_answered(stack, failures), failures.name)
    assert_all_stored(stack, dag_run.run)
    losses = stack.query(f'last_over_time(ml_epoch_loss{{run_id="{dag_run.run.run_id}"}}[1d])')
    assert any(value != value for _, value in losses), "the NaN itself has arrived"
    wait_until(lambda: in_exporter(stack, dag_run.run, "failed"), "the exporter shows the failure")
    summary = dag_run.run.summary()
    assert summary is not None
    assert "not finite" in summary.error


def test_train_killed_until_retries_are_exhausted(stack: RunningStack) -> None:
    dag_run = trigger(stack, SLOW, SLOW_DAG)
    for number in (1, 2):
        pid = dag_run.attempt("train", number).pid
        wait_until(lambda: dag_run.epochs(number) >= 1, f"an epoch of attempt {number}")  # noqa: B023
        os.kill(pid, signal.SIGKILL)
    dag_run.wait("failed")
    states = dag_run.states()
    assert (states["train"], states["test"], states["publish"]) == ("failed", "upstream_failed", "success")
    assert assert_all_stored(stack, dag_run.run) > 19, "the trained epochs are there"
    wait_until(lambda: in_exporter(stack, dag_run.run, "failed"), "the exporter shows the failure")
    attempts = f'catwalk_run_attempts{{run_id="{dag_run.run.run_id}", stage="train"}}'
    assert [value for _, value in stack.query(attempts)] == [2.0]
    summary = dag_run.run.summary()
    assert summary is not None
    assert summary.error == "train was killed in attempt 2, without an error message"


def test_an_outage_of_s3_is_one_clear_line_and_the_retry_finishes(stack: RunningStack) -> None:
    before = promotions(stack)
    dag_run = trigger(stack, {**SLOW, "accuracy_floor": 1}, SLOW_DAG)
    pid = dag_run.attempt("train", 1).pid
    wait_until(lambda: dag_run.epochs(1) >= 2, "two epochs")
    pause(stack, SLOW_DAG, True)  # otherwise, the one retry might begin before S3 is back
    try:
        stack.stop("s3")
        wait_until(lambda: stack.query("catwalk_store_up == 0"), "the exporter says that the store is down")
        wait_until(lambda: gone(pid), "train has given up")
    finally:
        stack.start("s3")
        pause(stack, SLOW_DAG, False)
    dag_run.wait("success")
    assert dag_run.tasks()["train"]["try_number"] == 2
    assert promotions(stack) == before, "a DAG run that holds its model is not an event"
    lines = [line for line in dag_run.log("train", 1).splitlines() if "does not answer" in line]
    assert lines, "the log says what was wrong"
    assert "is it running, and is AWS_ENDPOINT_URL_S3 right?" in lines[-1]
    assert_all_stored(stack, dag_run.run)
    wait_until(lambda: stack.query("catwalk_store_up == 1"), "the exporter has recovered")


def test_a_task_whose_supervisor_was_killed_is_fenced_off(stack: RunningStack) -> None:
    """Airflow's retry starts while the old child process is still alive: two attempts of one stage train at once."""
    knobs = {**SLOW, "seed": 5}
    dag_run = trigger(stack, knobs, SLOW_DAG)
    child = psutil.Process(dag_run.attempt("train", 1).pid)
    wait_until(lambda: dag_run.epochs(1) >= 1, "an epoch")
    supervisor = child.ppid()
    os.kill(supervisor, signal.SIGKILL)
    # A stopped process gets SIGHUP when its parent exits, so this stops it only now.
    wait_until(lambda: child.ppid() != supervisor, "the supervisor is gone")
    child.suspend()  # otherwise, it might end before Airflow has noticed
    try:
        dag_run.attempt("train", 2)
        wait_until(lambda: dag_run.epochs(2) >= 1, "an epoch of the retry")
    finally:
        child.resume()
    dag_run.wait("success")
    wait_until(lambda: gone(child.pid), "the old child stops by itself")
    outcomes = [record.outcome for record in dag_run.run.attempts() if record.stage == "train"]
    assert outcomes == ["superseded", "succeeded"]
    undisturbed, process = start_run(stack, knobs)
    finish(process)
    assert model_of(dag_run.run) == model_of(undisturbed)
    assert_all_stored(stack, dag_run.run)


def pause(stack: RunningStack, dag_id: str, paused: bool) -> None:
    """Pauses or resumes a DAG: in a paused one, no further task begins, and running tasks continue."""
    stack.airflow("PATCH", f"dags/{dag_id}", {"is_paused": paused})


def promotions(stack: RunningStack) -> list[dict[str, Any]]:
    """Events of the champion's asset, newest first."""
    events = stack.airflow("GET", "assets/events?order_by=-timestamp")["asset_events"]
    return [event for event in events if event["name"] == CHAMPION_ASSET]


def deployments(stack: RunningStack, dag_id: str) -> list[str]:
    """Why each run of a DAG that waits for a champion was started."""
    return [run["run_type"] for run in stack.airflow("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]]


def computed(run: Run) -> list[tuple[str, str]]:
    """Returns what a run has computed: every object with its ETag, except what publish writes at each try."""
    objects = [(entry.key, entry.etag) for entry in run.store.list(run.key(""))]
    written = ("attempts/publish-", "report.html", "figures/")
    return [(key, etag) for key, etag in objects if not key.removeprefix(run.key("")).startswith(written)]


def model_of(run: Run) -> str:
    training = run.training()
    assert training is not None
    return training.model_sha256
