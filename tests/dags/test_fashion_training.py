"""The DAG file as Airflow reads it: tasks, order, parameters, retries; and what parsing it costs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from airflow.sdk import AssetAlias, CronTriggerTimetable

from catwalk import errors
from catwalk.errors import ConfigError
from catwalk.knobs import knobs
from ml.fashion_mnist.config import RunConfig
from tests.dags.conftest import printed


@pytest.fixture(scope="module")
def dag(dags: Mapping[str, Any]) -> Any:
    return dags["fashion_training"]


def test_the_stages_are_wired_in_order_with_publish_as_a_plain_teardown(dag: Any) -> None:
    order = ["ingest", "train", "test", "decide", "publish"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for task, following in pairwise(order):
        assert following in dag.get_task(task).downstream_task_ids
    publish = dag.get_task("publish")
    assert publish.is_teardown
    assert not publish.on_failure_fail_dagrun


def test_it_is_scheduled_daily_one_run_at_a_time_without_catching_up(dag: Any) -> None:
    assert dag.schedule == CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(0))
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)


def test_an_airflow_that_first_sees_it_after_tonights_run_is_due_waits_for_tomorrows(
    dag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds at each minute of a day. An Airflow that has run it before makes up for the night when it was down."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables import trigger
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import datetime

    timetable, restriction = (
        decode_timetable(encode_timetable(dag.schedule)),
        TimeRestriction(None, None, catchup=False),
    )
    for minute in range(24 * 60):
        now = datetime(2026, 11, 27).add(minutes=minute, seconds=30)
        monkeypatch.setattr(trigger, "utcnow", lambda now=now: now)
        first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        assert first and 0 < (first.run_after - now).total_seconds() <= 24 * 3600, now
    before = DataInterval.exact(datetime(2026, 11, 25, 3))
    again = timetable.next_dagrun_info(last_automated_data_interval=before, restriction=restriction)
    assert again and again.run_after == datetime(2026, 11, 27, 3)


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * 1-5", "@quarterly", "@weekly", "@yearly", "@midnight", "@annually", "15 */6 * * *", "0 3 1-7 * 1",
        "0 0 29 2 *",
    ],
)  # fmt: skip
def test_runs_are_due_when_airflow_starts_them(schedule: str) -> None:
    from airflow.timetables.trigger import CronTriggerTimetable as Core
    from airflow.utils.dates import cron_presets
    from pendulum import datetime

    from catwalk.environment.schedule import PRESETS, Schedule

    assert cron_presets.items() <= PRESETS.items()
    timetable = Core(schedule, timezone="UTC")
    moment = datetime(2026, 11, 27, 3, 0, 7)
    for due in islice(Schedule(PRESETS.get(schedule, schedule)).after(moment.timestamp()), 20):
        moment = timetable._get_next(moment)
        assert due == moment.timestamp()


SCHEDULES = {
    "": ("0 3 * * *", "UTC"),
    "None": None,
    "@once": "@once",
    " @daily": ("0 0 * * *", "UTC"),
    "@midnight": ("@midnight", "UTC"),
}
"""Value of `CATWALK_SCHEDULE` → expression and time zone, or what Airflow takes unchanged."""


SCHEDULE = (
    "import fashion_training as file; found = file.fashion_training.schedule; "
    "print(repr((found.expression, str(found.timezone)) if hasattr(found, 'expression') else found))"
)
HEAVY = (
    "import os, runpy, sys; runpy.run_path(os.environ['FILE']); "
    "heavy = {'torch', 'torchvision', 'numpy', 'boto3', 'matplotlib', 'scipy', 'catwalk.telemetry', "
    "'catwalk.stages.pipeline'}; "
    "print(sorted(heavy & set(sys.modules)))"
)


@pytest.fixture(scope="module")
def readings() -> Mapping[str, str]:
    """Returns the DAG's schedule under each of :data:`SCHEDULES`, and the heavy modules that parsing each of
    :data:`DAG_FILES` loads, if Airflow's own time zone is not UTC.
    """
    asked = {variable: (SCHEDULE, {"CATWALK_SCHEDULE": variable}) for variable in SCHEDULES}
    asked |= {name: (HEAVY, {"FILE": f"dags/{name}.py"}) for name in DAG_FILES}
    lines = printed(list(asked.values()), AIRFLOW__CORE__DEFAULT_TIMEZONE="Europe/Berlin")
    return dict(zip(asked, lines, strict=True))


@pytest.mark.parametrize("variable", SCHEDULES)
def test_its_schedule_is_that_of_the_environment_in_utc(variable: str, readings: Mapping[str, str]) -> None:
    assert readings[variable] == repr(SCHEDULES[variable])


def test_each_task_retries_with_backoff_and_has_a_timeout(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries > 0
        assert task.retry_exponential_backoff > 1
        assert task.execution_timeout is not None


def test_each_task_has_a_button_that_opens_the_report(dag: Any) -> None:
    for task in dag.tasks:
        assert [link.name for link in task.operator_extra_links] == ["Run report"]


def test_success_alone_is_not_an_event_of_the_champions_asset(dag: Any) -> None:
    outlets = {task.task_id: task.outlets for task in dag.tasks if task.outlets}
    assert outlets == {"decide": [AssetAlias("catwalk_promotions")]}


def test_every_knob_is_a_typed_param_with_its_help(dag: Any) -> None:
    params = {name: dag.params.get_param(name) for name in dag.params}
    assert set(params) == {knob.name for knob in knobs(RunConfig)}
    for knob in knobs(RunConfig):
        param = params[knob.name]
        assert param.description == knob.help
        assert param.schema["type"]
        assert param.schema["section"] == knob.section
    assert RunConfig.from_flat(dag.params.dump()) == RunConfig()


def test_a_value_of_the_wrong_type_is_refused_when_it_is_triggered(dag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        deepcopy(dag.params.get_param("epochs")).resolve("many")


@pytest.mark.parametrize("name", ["fashion_training", "fashion_sweep"])
def test_the_form_has_the_bounds_of_every_number(name: str, dags: Mapping[str, Any]) -> None:
    """The form and :class:`RunConfig` refuse and accept the same values, including the bounds themselves."""
    from airflow.sdk.exceptions import ParamValidationError

    bounded = [knob for knob in knobs(RunConfig) if knob.bounds]
    assert len(bounded) > 15
    for knob in bounded:
        # Resolving a parameter changes it, and other tests read the same DAG.
        param, bounds = deepcopy(dags[name].params.get_param(knob.name)), knob.bounds
        assert bounds is not None
        step = bounds.multiple_of if knob.type is int else 1e-6
        lowest = bounds.low + step if bounds.above else bounds.low
        for value in (lowest, bounds.high):
            assert param.resolve(knob.type(value)) == value, knob.name
            bounds.check(knob.name, value)
        for value in (lowest - step, bounds.high + step):
            with pytest.raises(ParamValidationError):
                param.resolve(knob.type(value))
            with pytest.raises(ConfigError, match=knob.name):
                bounds.check(knob.name, value)
        if knob.nullable:
            assert param.resolve(None) is None


ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CatwalkError)]
MAY_PASS = {"TransientError", "CancelledError", "DownloadError", "StoreUnavailableError"}


@pytest.mark.parametrize("kind", ERRORS)
def test_only_temporary_errors_are_retried(kind: type[errors.CatwalkError], dag: Any) -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction

    expected = RetryAction.RETRY if kind.__name__ in MAY_PASS else RetryAction.FAIL
    for task in dag.tasks:
        assert task.retry_policy.evaluate(kind("so it is"), 1, 4).action == expected


DAG_FILES = ("fashion_training", "fashion_sweep")


@pytest.mark.parametrize("name", DAG_FILES)
def test_parsing_a_dag_file_loads_nothing_heavy(name: str, readings: Mapping[str, str]) -> None:
    assert readings[name] == "[]"


def test_the_button_of_a_task_links_to_where_people_open_reports(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    [link] = [link for link in dag.get_task("train").operator_extra_links if link.name == "Run report"]
    monkeypatch.setattr(type(link), "run_id", lambda self, task_instance: "20261123T030000Z-00000001")
    monkeypatch.setenv("CATWALK_EXPORTER_URL", "http://exporter:9180")
    assert link.get_link(None, ti_key=None) == "http://exporter:9180/runs/20261123T030000Z-00000001"
    monkeypatch.setenv("CATWALK_EXPORTER_PUBLIC_URL", "https://catwalk.example/")
    assert link.get_link(None, ti_key=None) == "https://catwalk.example/runs/20261123T030000Z-00000001"
