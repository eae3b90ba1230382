"""Scenarios for the rules on runs, Airflow and S3."""

from __future__ import annotations

from tests.prometheus.scenario import (
    OLDER,
    RUN,
    Alert,
    Expectation,
    Scenario,
    a_run,
    constant,
    fires,
    has,
    scenario,
    series,
    silent,
)

WARNING = {"severity": "warning", "area": "pipeline"}
CRITICAL = {"severity": "critical", "area": "pipeline"}
INFO = {"severity": "info", "area": "pipeline"}
OF_RUN = {"run_id": RUN, "model": "mlp"}
LINK = f"http://registry/runs/{RUN}"
RUN_PAGE = f"catwalk-run?var-model=mlp&var-run={RUN}"
PIPELINE_PAGE = "catwalk-pipeline?var-model=mlp"
LABELS = f'{{model="mlp", run_id="{RUN}"}}'
HOUR = 3_600

LAST_SUCCESS = series("catwalk_last_success_timestamp_seconds", model="mlp", trigger="schedule")
INTERVAL = series("catwalk_schedule_interval_seconds", model="mlp", trigger="schedule")
INTERVAL_OF_NONE = series("catwalk_schedule_interval_seconds", trigger="schedule")
REGISTRY_UP = 'up{job="registry", instance="registry:1"}'


def overdue(severity: dict[str, str], age: str) -> Alert:
    """A last good run that is too old."""
    return Alert(
        {**severity, "model": "mlp"},
        f"mlp: last retrained {age} ago",
        f"The last scheduled run of mlp that went well ended {age} ago, longer than the schedule allows.",
        PIPELINE_PAGE,
    )


def never(watched: str, model: str = "") -> Alert:
    """No good run in all the time that somebody looked."""
    of = f" of {model}" if model else ""
    return Alert(
        {**CRITICAL, "rests_on": "missing_series", **({"model": model} if model else {})},
        f"No scheduled run{of} has ever finished well",
        f"In {watched} of watching, no scheduled run{of} has finished well.",
        "catwalk-pipeline",
    )


FRESHNESS: list[Scenario] = [
    scenario(
        "the last good run is 36 hours old, then 48; a run by hand in between does not count",
        {
            LAST_SUCCESS: constant(-35 * HOUR),
            series("catwalk_last_success_timestamp_seconds", model="mlp", trigger="manual"): constant(-HOUR),
            INTERVAL: constant(24 * HOUR),
            REGISTRY_UP: constant(1),
        },
        silent("RetrainingOverdue", "1h15m"),
        fires("RetrainingOverdue", "1h20m", overdue(WARNING, "1d 12h 20m 0s")),
        fires("RetrainingOverdue", "13h15m", overdue(WARNING, "2d 0h 15m 0s")),
        fires("RetrainingOverdue", "13h20m", overdue(WARNING, "2d 0h 20m 0s"), overdue(CRITICAL, "2d 0h 20m 0s")),
        has("model:retraining_age_seconds:min", "1h", {'{model="mlp"}': 36 * HOUR}),
        has("model:schedule_interval_seconds:max", "1h", {'{model="mlp"}': 24 * HOUR}),
        has("model:schedule_interval_seconds:unmet", "1h", {}),
        interval="5m",
    ),
    scenario(
        "the registry is gone for a night: what it said last still counts",
        {
            LAST_SUCCESS: constant(-30 * HOUR, 2),
            INTERVAL: constant(24 * HOUR, 2),
            REGISTRY_UP: constant(0, 200),
        },
        fires("RetrainingOverdue", "8h", overdue(WARNING, "1d 14h 0m 0s")),
        interval="5m",
    ),
    scenario(
        "a fresh stack is quiet for one interval and a half; the registry starts again in between",
        {REGISTRY_UP: "_x12 1x5 0x10 1x100", INTERVAL_OF_NONE: constant(2 * HOUR, 100)},
        silent("RetrainingOverdue", "4h15m"),
        fires("RetrainingOverdue", "4h20m", never("3h 20m 0s")),
        has("registry:watched_since_timestamp_seconds:min", "30m", {}),
        has("registry:watched_since_timestamp_seconds:min", "3h", {"{}": HOUR}),
        has("model:schedule_interval_seconds:unmet", "1h", {"{}": 2 * HOUR}),
        interval="5m",
    ),
    scenario(
        "the first scheduled run has failed, and a schedule is known for it alone",
        {
            REGISTRY_UP: constant(1, 6_000),
            INTERVAL_OF_NONE: constant(HOUR, 20),
            INTERVAL: "_x20 3600x5000",
        },
        silent("RetrainingOverdue", "1h45m"),
        fires("RetrainingOverdue", "1h46m", never("1h 46m 0s", "mlp")),
        has("model:schedule_interval_seconds:unmet", "1h", {'{model="mlp"}': HOUR}),
        interval="1m",
    ),
    scenario(
        "the registry is there and says nothing of any schedule: a day is assumed",
        {REGISTRY_UP: constant(1, 300)},
        has("model:schedule_interval_seconds:unmet", "1h", {"{}": 24 * HOUR}),
        silent("RetrainingOverdue", "36h15m"),
        fires("RetrainingOverdue", "36h30m", never("1d 12h 30m 0s")),
        interval="15m",
    ),
]

STATE_FAILED = series("catwalk_run_state", **OF_RUN, state="failed")
FAILED = Alert(
    {**WARNING, **OF_RUN},
    "mlp: the retraining run failed",
    f"Run {RUN} of mlp has failed, no attempt is left, and nothing shipped. {LINK}",
    RUN_PAGE,
)
DAG_RUNS = series(
    "airflow_dagrun_duration_seconds_count", dag_id="fashion_training", run_type="scheduled", state="failed"
)
EXPORTER_UP = 'up{job="statsd_exporter", instance="statsd_exporter:1"}'
PAUSED = series("catwalk_dag_paused", dag_id="fashion_training")
FAILED_BEFORE = Alert(
    {**WARNING, "dag_id": "fashion_training", "source": "airflow"},
    "fashion_training: a DAG run failed before it wrote anything",
    "Airflow reports a failed run of fashion_training in the last minutes, and the ledger knows of none.",
    "catwalk-pipeline",
)
STUCK = Alert(
    {**WARNING, **OF_RUN},
    "mlp: a run hangs, or died without a word",
    f"Run {RUN} of mlp says that it runs, and has written nothing for too long. {LINK}",
    RUN_PAGE,
)


def retrying(attempts: int) -> Alert:
    """A stage that has begun so many times."""
    return Alert(
        {**INFO, **OF_RUN, "stage": "train"},
        f"mlp: train is in attempt {attempts}",
        f"Stage train of run {RUN} of mlp has begun {attempts} times: earlier attempts failed or were killed. {LINK}",
        RUN_PAGE,
    )


RUNS: list[Scenario] = [
    scenario(
        "the very first run fails, and its families leave the registry two hours later",
        {**a_run(samples=120), STATE_FAILED: "0x5 1x114"},
        silent("PipelineRunFailed", "5m"),
        fires("PipelineRunFailed", "6m", FAILED),
        fires("PipelineRunFailed", "3h", FAILED),
        interval="1m",
    ),
    scenario(
        "a failed run is followed by the next one",
        {**a_run(), STATE_FAILED: constant(1), **a_run(OLDER, started=600)},
        silent("PipelineRunFailed", "5m"),
    ),
    scenario(
        "a sweep fails",
        {**a_run(trigger="sweep"), STATE_FAILED: constant(1)},
        silent("PipelineRunFailed", "5m"),
    ),
    scenario(
        "Airflow's first failed run, which the ledger does not know: the counter is born at 1",
        {EXPORTER_UP: constant(1), PAUSED: constant(0), DAG_RUNS: "_x60 1x1000"},
        silent("PipelineRunFailed", "10m50s"),
        fires("PipelineRunFailed", "11m", FAILED_BEFORE),
        silent("PipelineRunFailed", "16m"),
    ),
    scenario(
        "Airflow's second failed run",
        {EXPORTER_UP: constant(1), PAUSED: constant(0), DAG_RUNS: "1x90 2x1000"},
        silent("PipelineRunFailed", "15m"),
        fires("PipelineRunFailed", "16m20s", FAILED_BEFORE),
    ),
    scenario(
        "the same, after an outage of Prometheus: the failure may be old",
        {EXPORTER_UP: "_x60 1x1000", PAUSED: constant(0), DAG_RUNS: "_x60 1x1000"},
        silent("PipelineRunFailed", "12m"),
        silent("PipelineRunFailed", "16m"),
    ),
    scenario(
        "a failed run that the ledger knows is told once, and a DAG of others not at all",
        {
            EXPORTER_UP: constant(1), PAUSED: constant(0), DAG_RUNS: "_x60 1x1000",
            DAG_RUNS.replace("fashion_training", "another"): "_x60 1x1000",
            **a_run(), STATE_FAILED: "0x60 1x100",
        },
        fires("PipelineRunFailed", "12m", FAILED),
    ),
    scenario(
        "another team's DAG run fails",
        {EXPORTER_UP: constant(1), DAG_RUNS: "_x60 1x1000"},
        silent("PipelineRunFailed", "12m"),
    ),
    scenario(
        "a run falls silent, and is exported for a day",
        {**a_run(samples=120), series("catwalk_run_state", **OF_RUN, state="stalled"): "0x10 1x100"},
        silent("PipelineRunStuck", "10m"),
        fires("PipelineRunStuck", "11m", STUCK),
        fires("PipelineRunStuck", "3h", STUCK),
        interval="1m",
    ),
    scenario(
        "a stalled run on the command line",
        {**a_run(trigger="cli"), series("catwalk_run_state", **OF_RUN, state="stalled"): constant(1)},
        silent("PipelineRunStuck", "5m"),
    ),
    scenario(
        "an attempt was killed: Airflow says nothing, the ledger does",
        {
            **a_run(trigger="manual"),
            series("catwalk_run_attempts", **OF_RUN, stage="train"): "1x5 2x100 3x1000",
            series("catwalk_run_attempts", **OF_RUN, stage="ingest"): constant(1),
        },
        silent("PipelineTaskRetrying", "50s"),
        fires("PipelineTaskRetrying", "1m", retrying(2)),
        fires("PipelineTaskRetrying", "20m", retrying(3)),
    ),
    scenario(
        "a sweep tries again",
        {**a_run(trigger="sweep"), series("catwalk_run_attempts", **OF_RUN, stage="train"): constant(3)},
        silent("PipelineTaskRetrying", "5m"),
    ),
]  # fmt: skip


def past_runs(
    count: int, trigger: str = "schedule", state: str = "succeeded", prefix: str = "past", least: int = 60
) -> dict[str, str]:
    """Runs of 60, 70, 80 … seconds, whose train stage took half of it. Median of five: 80 and 40."""
    found: dict[str, str] = {}
    for number in range(count):
        labels = {"run_id": f"{prefix}{number}", "model": "mlp"}
        found |= {
            series("catwalk_run_info", **labels, trigger=trigger): "1x3",
            series("catwalk_run_state", **labels, state=state): "1x3",
            series("catwalk_run_state", **labels, state="running"): "0x3",
            series("catwalk_run_duration_seconds", **labels): f"{least + 10 * number}x3",
            series("ml_stage_duration_seconds", **labels, stage="train"): f"{(least + 10 * number) / 2}x3",
        }
    return found


def a_run_of(duration: float, train: float, trigger: str = "schedule", begins: int = 20) -> dict[str, str]:
    """A run that is there from the 20th minute on."""
    return {
        series("catwalk_run_info", **OF_RUN, trigger=trigger): f"_x{begins} 1x60",
        series("catwalk_run_started_timestamp_seconds", **OF_RUN): f"_x{begins} 1200x60",
        series("catwalk_run_state", **OF_RUN, state="succeeded"): f"_x{begins} 0x60",
        series("catwalk_run_duration_seconds", **OF_RUN): f"_x{begins} {duration}x60",
        series("ml_stage_duration_seconds", **OF_RUN, stage="train"): f"_x{begins} {train}x60",
    }


# Twice the median and half a minute: 190 s and 110 s.
SLOW_RUN = Alert(
    {**WARNING, **OF_RUN},
    "mlp: the run takes 3m 11s, far longer than usual",
    f"Run {RUN} of mlp has taken 3m 11s so far, more than twice the median of a month. {LINK}",
    PIPELINE_PAGE,
)
SLOW_TRAIN = Alert(
    {**INFO, **OF_RUN, "stage": "train"},
    "mlp: train took 1m 51s, far longer than usual",
    f"Stage train of run {RUN} of mlp took 1m 51s, more than twice the median of a month. {LINK}",
    PIPELINE_PAGE,
)


def slowness(at: str, *firing: Alert) -> tuple[Expectation, Expectation]:
    """What both alerts on durations do."""
    both = [("PipelineRunSlow", "mlp: the run"), ("PipelineTaskSlow", "mlp: train")]
    run, task = (
        fires(name, at, *(alert for alert in firing if alert.summary.startswith(summary))) for name, summary in both
    )
    return run, task


DURATIONS: list[Scenario] = [
    scenario(
        "a run takes just over twice the median of five, and half a minute",
        {
            **past_runs(5),
            **past_runs(5, trigger="manual", prefix="by hand", least=300),
            **past_runs(5, state="failed", prefix="failed", least=1),
            **a_run_of(191, 111),
        },
        *slowness("19m"),
        *slowness("20m", SLOW_RUN, SLOW_TRAIN),
        has(
            "run:scheduled_duration_seconds:final",
            "3m",
            {f'{{model="mlp", run_id="past{number}"}}': 60 + 10 * number for number in range(5)},
        ),
        has(
            "run:scheduled_stage_duration_seconds:final",
            "3m",
            {f'{{model="mlp", run_id="past{number}", stage="train"}}': 30 + 5 * number for number in range(5)},
        ),
        has("model:duration_seconds:median30d", "10m", {'{model="mlp"}': 80}),
        has("model:stage_duration_seconds:median30d", "10m", {'{model="mlp", stage="train"}': 40}),
        has("model:baseline_runs:count30d", "10m", {'{model="mlp"}': 5}),
        has("model:latest_duration_seconds:last", "30m", {LABELS: 191}),
        has(
            "model:latest_stage_duration_seconds:last",
            "30m",
            {f'{{model="mlp", run_id="{RUN}", stage="train"}}': 111},
        ),
        interval="1m",
    ),
    scenario(
        "just under",
        {**past_runs(5), **a_run_of(189, 109)},
        *slowness("30m"),
        has("model:latest_duration_seconds:last", "30m", {LABELS: 189}),
        interval="1m",
    ),
    scenario(
        "a baseline of four runs is none",
        {**past_runs(4), **a_run_of(1_000, 1_000)},
        *slowness("30m"),
        interval="1m",
    ),
    scenario(
        "a run by hand may have any configuration",
        {**past_runs(5), **a_run_of(1_000, 1_000, trigger="manual")},
        *slowness("30m"),
        has("model:latest_duration_seconds:last", "30m", {}),
        has("model:latest_stage_duration_seconds:last", "30m", {}),
        interval="1m",
    ),
]  # fmt: skip


def component(name: str, value: str) -> dict[str, str]:
    """What the registry says of a component of Airflow."""
    return {series("catwalk_airflow_component_healthy", component=name): value}


def down(alert: str, name: str, severity: dict[str, str], summary: str, description: str) -> Scenario:
    """A component that is ill for three minutes, and one that is well again just before."""
    firing = Alert({**severity, "component": name}, summary, description, "catwalk-pipeline")
    others = {"scheduler", "dag_processor", "triggerer", "api_server", "metadatabase"} - {name}
    healthy = {key: value for other in others for key, value in component(other, constant(1)).items()}
    return scenario(
        f"Airflow's {name} is down",
        {**healthy, **component(name, "1x5 0x17 1x5 0x100")},
        silent(alert, "3m50s"),
        silent(alert, "7m50s"),
        fires(alert, "8m", firing),
    )


API_SERVER = (
    "has not been healthy for three minutes. Tasks report to the API server, and while it is silent nothing is known "
    "of the other components."
)
AIRFLOW: list[Scenario] = [
    down(
        "AirflowApiServerDown", "api_server", CRITICAL, "Airflow's api_server is down: tasks can't run",
        f"Airflow's api_server {API_SERVER}",
    ),
    down(
        "AirflowApiServerDown", "metadatabase", CRITICAL, "Airflow's metadatabase is down: tasks can't run",
        f"Airflow's metadatabase {API_SERVER}",
    ),
    down(
        "AirflowSchedulerDown", "scheduler", CRITICAL, "Airflow's scheduler is down: nothing is started",
        "Airflow's scheduler has sent no heartbeat for three minutes; no run or task is started.",
    ),
    down(
        "AirflowDagProcessorDown", "dag_processor", WARNING, "Airflow's DAG processor is down: changes are not seen",
        "Airflow's DAG processor has sent no heartbeat for three minutes. Known DAGs go on; changed files are not "
        "read, and after a while DAGs count as gone.",
    ),
    down(
        "AirflowTriggererDown", "triggerer", WARNING, "Airflow's triggerer is down",
        "Airflow's triggerer has sent no heartbeat for three minutes; deferred tasks and deadlines wait.",
    ),
    scenario(
        "a DAG is paused for an hour, another one is not",
        {PAUSED: "0x5 1x1000", series("catwalk_dag_paused", dag_id="other"): constant(0)},
        silent("PipelinePaused", "1h50s"),
        fires(
            "PipelinePaused",
            "1h1m",
            Alert(
                {**WARNING, "dag_id": "fashion_training"},
                "fashion_training is paused: nothing is retrained",
                "The DAG fashion_training has been paused in Airflow for an hour; no run will be scheduled.",
                "catwalk-pipeline",
            ),
        ),
    ),
    scenario(
        "a DAG file can't be imported",
        {series("airflow_dag_processing_import_errors"): "0x5 1x100"},
        silent("AirflowImportErrors", "2m50s"),
        fires(
            "AirflowImportErrors",
            "3m",
            Alert(
                WARNING,
                "Airflow can't import 1 DAG file(s)",
                "Airflow fails to import 1 DAG file(s); their DAGs are not scheduled as written.",
                "catwalk-pipeline",
            ),
        ),
    ),
    scenario(
        "two tasks find no slot",
        {series("airflow_scheduler_tasks_starving"): "0x5 2x100"},
        silent("AirflowTasksStarving", "10m50s"),
        fires(
            "AirflowTasksStarving",
            "11m",
            Alert(
                WARNING,
                "2 Airflow task(s) find no free slot",
                "For ten minutes 2 task(s) could not start because their pool has no free slot.",
                "catwalk-pipeline",
            ),
        ),
    ),
]  # fmt: skip


def requests(operation: str, bound: str, above: str) -> dict[str, str]:
    """Requests to S3, 100 a minute, of which 90 take up to 0.5 s, and the rest up to a bound."""
    buckets = {"0.5": "0+90x1000", bound: "0+100x1000", "+Inf": above}
    return {
        series("catwalk_store_operation_duration_seconds_bucket", operation=operation, le=le): values
        for le, values in buckets.items()
    }


STORE: list[Scenario] = [
    scenario(
        "S3 is away for just under half a minute, then for longer",
        {series("catwalk_store_up"): "1x5 0x2 1x5 0x100"},
        silent("StoreUnavailable", "1m20s"),
        silent("StoreUnavailable", "2m50s"),
        fires(
            "StoreUnavailable",
            "3m",
            Alert(
                CRITICAL,
                "S3 does not answer: runs can't save, states are old",
                "The registry has not been able to read the run ledger in S3 for half a minute. Runs stop and try "
                "again; states, decisions and the champion are shown as they were.",
                "catwalk-pipeline",
            ),
        ),
    ),
    scenario(
        "one request in twenty takes just over a second, from a bucket that reaches to 1.6",
        requests("get", "1.6", "0+100x1000"),
        silent("StoreSlow", "5m"),
        fires(
            "StoreSlow",
            "5m10s",
            Alert(
                {**WARNING, "operation": "get"},
                "S3 is slow: get takes 1.05s",
                "Of the registry's get requests to S3, one in twenty takes longer than 1.05s.",
                "catwalk-pipeline",
            ),
        ),
        has("operation:store_operation_duration_seconds:p95_10m", "5m", {'{operation="get"}': 1.05}),
    ),
    scenario(
        "one request in twenty takes just under a second",
        requests("list", "1.4", "0+100x1000"),
        silent("StoreSlow", "30m"),
    ),
]

SCENARIOS = FRESHNESS + RUNS + DURATIONS + AIRFLOW + STORE
