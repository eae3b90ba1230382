"""The sweep's DAG file as Airflow reads it: wiring, limits, parameters; and the plan made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import AssetAlias, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator

from catwalk.codec import from_json
from catwalk.knobs import knobs
from catwalk.ledger.runs import Run
from catwalk.replay.room import KEY
from catwalk.stages.sweeps.search import SearchConfig
from catwalk.storage.store import Store
from catwalk.telemetry.budget import Parts
from catwalk.telemetry.points import epoch_series, series_budget
from ml.fashion_mnist.config import RunConfig

SEARCH = {"space", "search", "trials", "search_seed"}


@pytest.fixture(scope="module")
def dag(dags: Mapping[str, Any]) -> Any:
    return dags["fashion_sweep"]


def test_trials_are_mapped_and_only_one_is_tested(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == ["plan", "train", "choose", "test", "decide", "publish"]
    mapped = {task.task_id for task in dag.tasks if isinstance(task, MappedOperator)}
    assert mapped == {"train", "publish"}
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert upstream["train"] == {"plan"}
    assert upstream["choose"] == {"plan", "train"}
    assert upstream["test"] == {"choose"}
    assert upstream["decide"] == {"test"}
    assert upstream["publish"] == {"plan", "decide"}


def test_a_failed_trial_stops_no_other_and_publish_is_a_plain_teardown(dag: Any) -> None:
    assert dag.get_task("choose").trigger_rule == TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
    publish = dag.get_task("publish")
    assert publish.is_teardown
    assert not publish.on_failure_fail_dagrun


def test_it_is_never_scheduled_and_leaves_room_for_the_nightly_retraining(dag: Any, dags: Mapping[str, Any]) -> None:
    assert dag.schedule is None
    assert dag.get_task("train").max_active_tis_per_dag == 2, "over all sweeps together"
    assert {(task.priority_weight, task.weight_rule) for task in dag.tasks} == {(1, "absolute")}
    assert min(task.priority_weight for task in dags["fashion_training"].tasks) >= 1


def test_each_task_retries_and_has_a_timeout(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries > 0
        assert task.execution_timeout is not None


def test_tasks_of_a_run_link_to_its_report(dag: Any) -> None:
    linked = {task.task_id for task in dag.tasks if [link.name for link in task.operator_extra_links] == ["Run report"]}
    assert linked == {"train", "test", "decide", "publish"}


def test_only_the_gate_of_the_chosen_trial_can_make_a_champion(dag: Any) -> None:
    outlets = {task.task_id: task.outlets for task in dag.tasks if task.outlets}
    assert outlets == {"decide": [AssetAlias("catwalk_promotions")]}


def test_the_form_has_every_knob_and_the_search_with_their_help(dag: Any) -> None:
    params = dag.params.dump()
    assert set(params) == SEARCH | {knob.name for knob in knobs(RunConfig)}
    assert all(dag.params.get_param(name).description for name in params)
    base = {name: value for name, value in params.items() if name not in SEARCH}
    assert RunConfig.from_flat(base) == RunConfig()
    trials = SearchConfig(**{name: params[name] for name in SEARCH}).plan(RunConfig, base, "a sweep")
    assert len(trials) == 6, "the default search if the form is left unchanged"


@pytest.mark.integration
def test_all_trials_of_a_sweep_get_the_same_share_of_prometheus(
    dag: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial's task knows the whole plan: the number of trials, and how long the longest one trains."""
    params = {**dag.params.dump(), "source": "synthetic", "space": {"epochs": [5, 200], "dropout": [0.0, 0.1, 0.2]}}
    named = {"dag_id": "fashion_sweep", "run_id": "manual__1", "logical_date": None}
    dag_run = SimpleNamespace(run_after=datetime(2026, 11, 23, tzinfo=UTC), **named)
    stages = {"ingest": lambda run, observer: None, "train": lambda run, observer: None}
    monkeypatch.setenv("CATWALK_STATSD", "127.0.0.1:9")
    monkeypatch.setattr("catwalk.stages.pipeline.STAGE_FUNCTIONS", stages)
    train = dag.get_task("train").python_callable
    settings = replace(train.__globals__["SETTINGS"], sweep_wait_seconds=100_000.0)
    monkeypatch.setitem(train.__globals__, "SETTINGS", settings)
    trials = SearchConfig(**{name: params[name] for name in SEARCH}).plan(
        RunConfig, {name: value for name, value in params.items() if name not in SEARCH}, "any"
    )
    for index, trial in enumerate(trials):
        context = {"params": params, "dag_run": dag_run, "ti": SimpleNamespace(map_index=index)}
        monkeypatch.setitem(train.__globals__, "get_current_context", lambda context=context: context)
        train(trial)
    runs = [Run(s3_store, entry.key.split("/")[1]) for entry in s3_store.list("runs/")]
    assert {run.summary().sweep_wait for run in runs} == {100_000.0}, "as the DAG is set"
    records = [run.record for run in runs]
    assert [record.epochs for record in records].count(200) == 3
    assert {record.series_budget for record in records} == {series_budget(200, 10)}
    held = from_json(Parts, s3_store.get(KEY).body).held
    [part] = held.values()
    assert part.runs == len(records) == 6
    assert part.total >= 6 * (epoch_series(10) * 200 + 9)
