"""Pipeline health: DAG runs, tasks, Airflow's components and the object store."""

from __future__ import annotations

from grafana_foundation_sdk.builders import prometheus

from catwalk.ledger.records.run import STAGES
from grafana import board, words
from grafana.panels import LOOK, About, bars, events, joined, lines, panel_link, query, tile, timeline
from grafana.panels import words as mapping
from grafana.queries import STEP, counted, counted_in_a_day, mean, rate, with_name, worst
from grafana.sources import sources
from grafana.transformations import Column

_RUNS = 'model="$model", run_id=~"$recent"'
_RECENT = 60
"""Two months of nightly runs."""


def _of_runs(family: str, by: str) -> str:
    return f"max by ({by}) (last_over_time({family}{{{_RUNS}}}[$__range]))"


_NEWEST = f"topk(1, {_of_runs('catwalk_run_started_timestamp_seconds', 'run_id')})"
_STAGES = _of_runs("ml_stage_duration_seconds", "run_id, stage")

_DAGS = 'dag_id=~"$dag"'
# By final states: Airflow's `ti_failures` doesn't count a task that fails for good.
_FAILED = f'{_DAGS}, state=~"failed|up_for_retry"'
DAG_RUNS = counted("airflow_dagrun_duration_seconds_count", _DAGS, "state")
DAG_RUNS_FAILED = counted_in_a_day("airflow_dagrun_duration_seconds_count", f'{_DAGS}, state="failed"')
TASKS = counted("airflow_ti_finish_total", _DAGS, "state")
TASK_FAILURES = counted("airflow_ti_finish_total", _FAILED, "task_id")
TASKS_FAILED = counted_in_a_day("airflow_ti_finish_total", _FAILED)
DAG_SECONDS = mean("airflow_dagrun_duration_seconds", _DAGS, "state")
SCHEDULE_DELAY = mean("airflow_dagrun_schedule_delay_seconds", _DAGS, "dag_id")
FIRST_TASK_DELAY = mean("airflow_dagrun_first_task_start_delay_seconds", _DAGS, "dag_id")
STAGE_NOW = f"max by (stage) ({_STAGES} and on (run_id) {_NEWEST})"
# What alerts compare with, whatever the range; a model without scheduled runs only has those in the range.
_RECORDED = 'max by (stage) (last_over_time(model:stage_duration_seconds:{}{{model="$model"}}[15m]))'
STAGE_USUAL = f"{_RECORDED.format('median30d')} or quantile by (stage) (0.5, {_STAGES})"
STAGE_SLOW = f"{_RECORDED.format('p95_30d')} or quantile by (stage) (0.95, {_STAGES})"
STAGE_RATIO = f"{STAGE_NOW} / ({STAGE_USUAL})"
COMPONENTS = worst("min", "component:airflow_healthy:min1m", "component")
HEARTBEATS = (
    ("scheduler", f"60 * {rate('airflow_scheduler_heartbeat_total')}"),
    ("DAG processor", f"60 * {rate('airflow_dag_processor_heartbeat_total')}"),
    ("triggerer", f"60 * {rate('airflow_triggerer_heartbeat_total')}"),
)
# The fewest free ones and the most that wait, so that a jam between two steps is visible.
POOLS = (
    worst("min", 'airflow_pool_slots{state="open"}', "state"),
    worst("max", 'airflow_pool_slots{state!="open"}', "state"),
)
EXECUTOR = (
    ("open", f"sum({worst('min', 'airflow_executor_open_slots', 'executor_class_name')})"),
    ("running", f"sum({worst('max', 'airflow_executor_running_tasks', 'executor_class_name')})"),
    ("queued", f"sum({worst('max', 'airflow_executor_queued_tasks', 'executor_class_name')})"),
)
IMPORT_ERRORS = worst("max", "airflow_dag_processing_import_errors")
PARSE_SECONDS = worst("max", "airflow_dag_processing_parse_seconds")

STORE_SECONDS = worst("max", "operation:store_operation_duration_seconds:max1m", "operation")
STORE_RATE = f"sum by (operation) (avg_over_time(operation:store_operations:rate1m{STEP}))"
STORE_ERRORS = counted("ml_store_errors_total", by="operation")

_NONE = "none was counted in this range. Nothing is counted while statsd_exporter isn't scraped."
_NOT_WATCHED = "not known: statsd_exporter wasn't scraped all the time."
_NO_AIRFLOW = "no value is known in this range. Airflow sends it to statsd_exporter."
_NO_RATE = "no value is known in this range."
_NO_MINUTE = "no value is known in this range, up to a minute ago."
_NO_STAGES = "no stage of a run of this model is known in this range."


def _named(pairs: tuple[tuple[str, str], ...]) -> list[prometheus.Dataquery]:
    return [query(expr, chr(ord("A") + number), name) for number, (name, expr) in enumerate(pairs)]


DASHBOARD = board.board(
    "catwalk-pipeline",
    "Catwalk: pipeline health",
    "Does retraining run on schedule, as fast as usual, and without errors?",
    [board.model(), board.dag(), board.recent(_RECENT), board.place("airflow")],
    [board.starts("recent"), board.firing("pipeline")],
    [
        sources("exporter", "statsd_exporter", width=12),
        tile(
            About(
                "Failed DAG runs in 24 h",
                "How many runs of the selected DAGs failed in the last 24 hours, while statsd_exporter was scraped?",
                _NOT_WATCHED,
                "none",
                6,
                4,
                0,
            ),
            query(DAG_RUNS_FAILED, now=True),
            alarming=LOOK,
        ),
        tile(
            About(
                "Failed tasks in 24 h",
                "How many tasks of the selected DAGs failed in the last 24 hours, including retries, as far as "
                "statsd_exporter was scraped?",
                _NOT_WATCHED,
                "none",
                6,
                4,
                0,
            ),
            query(TASKS_FAILED, now=True),
            alarming=LOOK,
        ),
        events(
            About("DAG runs", "How many runs of the selected DAGs ended, and how?", _NONE, "none", 8, 8, 0),
            query(DAG_RUNS, legend="{{state}}"),
        ),
        events(
            About("Failed tasks", "Which tasks failed, including retries?", _NONE, "none", 8, 8, 0),
            query(TASK_FAILURES, legend="{{task_id}}"),
        ),
        lines(
            About("Duration of DAG runs", "How long do DAG runs take?", _NONE, "s", 8, 8),
            query(DAG_SECONDS, legend="{{state}}"),
            rare=True,
        ),
        bars(
            About(
                "Stages of the runs",
                "How long did each stage of the runs take? The last 60 runs in the range, the newest one first.",
                _NO_STAGES,
                "s",
                12,
                9,
            ),
            with_name(_STAGES),
            "run",
            "stage",
            first="run_id",
            names=STAGES,
        ),
        joined(
            About(
                "Stages against their baseline",
                "Is a stage of the newest run slower than usual? Median and 95th percentile of the successful "
                "scheduled runs of 30 days or, if there are none, of the last 60 runs in this range.",
                _NO_STAGES,
                "s",
                12,
                9,
            ),
            "stage",
            [
                query(STAGE_NOW, "A", table=True),
                query(STAGE_USUAL, "B", table=True),
                query(STAGE_SLOW, "C", table=True),
                query(STAGE_RATIO, "D", table=True),
            ],
            [
                Column("stage", "Stage"),
                Column("Value #A", "Newest run"),
                Column("Value #B", "Median"),
                Column("Value #C", "95th percentile"),
                Column("Value #D", "Newest ÷ median", {"unit": "none", "decimals": 2}),
            ],
            order="Newest run",
            falling=True,
        ),
        timeline(
            About(
                "Airflow's components",
                "Were scheduler, DAG processor, triggerer and metadata database healthy all the time?",
                "no component is known up to a minute ago: the exporter watches no Airflow, or wasn't scraped.",
                "none",
                12,
                8,
            ),
            query(COMPONENTS, legend="{{component}}"),
            mappings=mapping(words.HEALTH),
        ).links([panel_link("Open Airflow", "${airflow}")]),
        lines(
            About("Schedule delay", "How late do DAG runs and their first tasks start?", _NONE, "s", 12, 8),
            query(SCHEDULE_DELAY, "A", "{{dag_id}}"),
            query(FIRST_TASK_DELAY, "B", "{{dag_id}}: first task"),
            rare=True,
            many=True,
        ),
    ],
    {
        "Airflow inside": [
            lines(
                About("Heartbeats", "How often does each component send a heartbeat?", _NO_RATE, "suffix:/min", 8, 8),
                *_named(HEARTBEATS),
            ),
            lines(
                About("Pool slots", "Are slots free, or do tasks wait for one?", _NO_AIRFLOW, "none", 8, 8, 0),
                *(query(expr, ref, "{{state}}") for ref, expr in zip("AB", POOLS, strict=True)),
                names=("running", "queued", "open", "deferred", "scheduled"),
            ),
            lines(
                About("Executor slots", "Does the executor have room for more tasks?", _NO_AIRFLOW, "none", 8, 8, 0),
                *_named(EXECUTOR),
            ),
            events(
                About("Tasks", "How many tasks ended, and how?", _NONE, "none", 8, 8, 0),
                query(TASKS, legend="{{state}}"),
            ),
            lines(
                About("Broken DAG files", "How many DAG files can't be imported?", _NO_AIRFLOW, "none", 8, 8, 0),
                query(IMPORT_ERRORS, legend="import errors"),
            ),
            lines(
                About("Reading the DAG files", "How long does reading all DAG files take?", _NO_AIRFLOW, "s", 8, 8),
                query(PARSE_SECONDS, legend="all files"),
            ),
        ],
        "Store": [
            lines(
                About(
                    "Duration of requests to the store",
                    "How long do the exporter's requests to the store take? The 95th percentile of ten minutes.",
                    _NO_MINUTE,
                    "s",
                    12,
                    8,
                ),
                query(STORE_SECONDS, legend="{{operation}}"),
                minutes=True,
                many=True,
            ),
            lines(
                About(
                    "Requests to the store",
                    "How many requests does the exporter make?",
                    _NO_MINUTE,
                    "reqps",
                    12,
                    8,
                ),
                query(STORE_RATE, legend="{{operation}}"),
                minutes=True,
                many=True,
            ),
            lines(
                About("Failed requests", "Which requests of runs to the store failed?", _NONE, "none", 24, 8, 0),
                query(STORE_ERRORS, legend="{{operation}}"),
                many=True,
            ),
        ],
    },
    since=board.DAY,
)
"""The dashboard as JSON."""
