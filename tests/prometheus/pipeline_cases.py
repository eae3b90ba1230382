"""Scenarios for the rules on runs, Airflow and S3."""

from __future__ import annotations

from urllib.parse import quote_plus

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
LINK = f"http://exporter/runs/{RUN}"
RUN_PAGE = f"catwalk-run?var-model=mlp&var-run={RUN}"
PIPELINE_PAGE = "catwalk-pipeline?var-model=mlp"
LABELS = f'{{model="mlp", run_id="{RUN}"}}'
HOUR = 3_600
OF_A_SCRIPT = "größe v2 (EU)+&"
"""A model whose name an address has to quote."""

EXPORTER_UP = 'up{job="exporter", instance="exporter:1"}'
NIGHTLY = "0 3 * * *"


def due(kind: str, values: str, model: str = "mlp", schedule: str = NIGHTLY, dag_id: str = "") -> dict[str, str]:
    """When the exporter says that the next, or the next good run is due."""
    labels = {name: value for name, value in {"model": model, "dag_id": dag_id}.items() if value}
    return {series(f"catwalk_{kind}_run_due_timestamp_seconds", **labels, schedule=schedule): values}


def late(by: str, model: str = "mlp") -> Alert:
    """A run that has not begun."""
    return Alert(
        {**WARNING, "model": model},
        f"{model}: a scheduled run is {by} late",
        f"The schedule of {model} fired {by} ago, and no run has begun.",
        f"catwalk-pipeline?var-model={quote_plus(model)}",
    )


def fruitless(by: str) -> Alert:
    """Two runs that did not begin, or failed."""
    return Alert(
        {**CRITICAL, "model": "mlp"},
        "mlp: two scheduled runs in a row failed or are missing",
        f"The schedule of mlp has fired twice since a scheduled run went well, the second time {by} ago: runs do not "
        "begin, or fail.",
        PIPELINE_PAGE,
    )


def never(by: str, schedule: str = NIGHTLY, dag_id: str = "") -> Alert:
    """No scheduled run, or none of a DAG, for as long as the exporter has looked."""
    return Alert(
        {**CRITICAL, "schedule": schedule, **({"dag_id": dag_id} if dag_id else {})},
        f"No scheduled run{f' of {dag_id}' if dag_id else ''} has ever begun",
        f"The first run of the schedule {schedule} was due {by} ago: runs do not begin.",
        "catwalk-pipeline?var-model=",
    )


def component(name: str, value: str) -> dict[str, str]:
    """What the exporter reports about a component of Airflow."""
    return {series("catwalk_airflow_component_healthy", component=name): value}


FRESHNESS: list[Scenario] = [
    scenario(
        "a run is due after an hour and has not begun an hour and a quarter later, nor has the next one a day later",
        {**due("next", constant(HOUR)), **due("good", constant(25 * HOUR)), EXPORTER_UP: constant(1)},
        silent("RetrainingOverdue", "2h15m"),
        fires("RetrainingOverdue", "2h20m", late("1h 20m 0s")),
        fires("RetrainingOverdue", "26h15m", late("1d 1h 15m 0s")),
        fires("RetrainingOverdue", "26h20m", late("1d 1h 20m 0s"), fruitless("1h 20m 0s")),
        interval="5m",
    ),
    scenario(
        "a run begins an hour after it was due, and that is soon enough",
        {**due("next", f"{HOUR}x23 {25 * HOUR}x100"), **due("good", constant(25 * HOUR)), EXPORTER_UP: constant(1)},
        silent("RetrainingOverdue", "2h20m"),
        silent("RetrainingOverdue", "8h"),
        interval="5m",
    ),
    scenario(
        "runs begin each night and fail",
        {**due("next", constant(100 * HOUR)), **due("good", constant(HOUR)), EXPORTER_UP: constant(1)},
        silent("RetrainingOverdue", "2h15m"),
        fires("RetrainingOverdue", "2h20m", fruitless("1h 20m 0s")),
        interval="5m",
    ),
    scenario(
        "the exporter is gone for a night: what it said last still counts",
        {**due("next", f"{HOUR}x2 stale"), EXPORTER_UP: "1x2 0x500"},
        fires("RetrainingOverdue", "8h", late("7h 0m 0s")),
        interval="1m",
    ),
    scenario(
        "a fresh stack is quiet until the first run is due; that the exporter starts again in between puts nothing off",
        {
            EXPORTER_UP: "1x30 0x3 1x100",
            **due("next", f"{2 * HOUR}x12 _x21 {26 * HOUR}x100", model=""),
        },
        silent("RetrainingOverdue", "3h15m"),
        fires("RetrainingOverdue", "3h20m", never("1h 20m 0s")),
        has("exporter:first_run_due_timestamp_seconds:min", "1h", {f'{{schedule="{NIGHTLY}"}}': 2 * HOUR}),
        has("exporter:first_run_due_timestamp_seconds:min", "4h", {f'{{schedule="{NIGHTLY}"}}': 2 * HOUR}),
        interval="5m",
    ),
    scenario(
        "a fresh stack is upgraded, which puts off nothing",
        {
            f'registry:first_run_due_timestamp_seconds:min{{schedule="{NIGHTLY}"}}': f"{2 * HOUR}x12",
            EXPORTER_UP: "_x13 1x100",
            **due("next", f"_x13 {26 * HOUR}x100", model=""),
        },
        fires("RetrainingOverdue", "3h20m", never("1h 20m 0s")),
        interval="5m",
    ),
    scenario(
        "the schedule of a fresh stack is changed to weekly; later its first run begins",
        {
            EXPORTER_UP: constant(1),
            **due("next", f"{2 * HOUR}x12 stale", model=""),
            **due("next", f"_x13 {100 * HOUR}x40 stale", model="", schedule="0 3 * * 0"),
            **due("next", f"_x54 {260 * HOUR}x100", schedule="0 3 * * 0"),
        },
        has("exporter:first_run_due_timestamp_seconds:min", "2h", {'{schedule="0 3 * * 0"}': 100 * HOUR}),
        silent("RetrainingOverdue", "4h"),
        has("exporter:first_run_due_timestamp_seconds:min", "5h", {}),
        interval="5m",
    ),
    scenario(
        "a model is retrained each night; two younger DAGs have the same schedule: one never begins and one does",
        {
            EXPORTER_UP: "1x30 0x3 1x100",
            **due("next", constant(100 * HOUR), dag_id="fashion_training"),
            **due("next", f"{2 * HOUR}x12 _x21 {26 * HOUR}x100", model="", dag_id="shapes"),
            **due("next", f"{2 * HOUR}x20 stale", model="", dag_id="churn"),
            **due("next", f"_x21 {26 * HOUR}x100", model="churn", dag_id="churn"),
        },
        has(
            "exporter:first_run_due_timestamp_seconds:min",
            "1h",
            {f'{{dag_id="{name}", schedule="{NIGHTLY}"}}': 2 * HOUR for name in ("churn", "shapes")},
        ),
        silent("RetrainingOverdue", "3h15m"),
        fires("RetrainingOverdue", "3h20m", never("1h 20m 0s", dag_id="shapes")),
        interval="5m",
    ),
]

STATE_FAILED = series("catwalk_run_state", **OF_RUN, state="failed")
FAILED = Alert(
    {**WARNING, **OF_RUN},
    "mlp: the retraining run failed",
    f"Run {RUN} of mlp has failed, no attempt is left, and nothing shipped. {LINK}",
    RUN_PAGE,
)
PAUSED = series("catwalk_dag_paused", dag_id="fashion_training")


def dag_run_failed(dag_id: str, values: str) -> dict[str, str]:
    """A DAG's last run, of whose failure the ledger does not know."""
    return {series("catwalk_dag_run_failed_timestamp_seconds", dag_id=dag_id, dag_run_id="manual__1"): values}


def failed_before(dag_id: str, model: str = "") -> Alert:
    """A DAG run that wrote nothing."""
    return Alert(
        {**WARNING, **of_model(model), "dag_id": dag_id, "dag_run_id": "manual__1", "source": "airflow"},
        f"{model and f'{model}: '}a DAG run of {dag_id} failed before it wrote anything",
        f"Airflow says that run manual__1 of {dag_id}{model and f', which trains {model},'} has failed, and the "
        "ledger has no failed run of it.",
        "catwalk-pipeline",
    )


def of_model(model: str) -> dict[str, str]:
    """The label of a model, or none."""
    return {"model": model} if model else {}


def known(model: str, dag_id: str = "", retired: str = "false") -> dict[str, str]:
    """A model that the exporter knows."""
    return {series("catwalk_model_info", model=model, dag_id=dag_id, retired=retired): constant(1)}


def limit(model: str, name: str, value: float) -> dict[str, str]:
    """A limit that a model has of its own."""
    return {series("catwalk_threshold", model=model, name=name): constant(value)}


def paused(dag_id: str, model: str = "") -> Alert:
    """A DAG that starts no runs."""
    return Alert(
        {**WARNING, **of_model(model), "dag_id": dag_id},
        f"{model and f'{model}: '}{dag_id} is paused: nothing is retrained",
        f"The DAG {dag_id}{model and f' of {model}'} has been paused in Airflow for an hour; no run will be scheduled.",
        "catwalk-pipeline",
    )


DEFAULTS = {
    "loss_growth_ratio": 0.5, "generalisation_gap_ratio": 0.85, "validation_loss_rise_ratio": 0.15,
    "epochs_since_best": 6, "headline_regression_ratio": 0.1, "runs_blocked": 3, "champion_age_seconds": 2_592_000,
    "class_share_distance_ratio": 0.05, "dataset_statistic_change_ratio": 0.085, "schedule_grace_seconds": HOUR,
    "duration_ratio": 2, "duration_excess_seconds": 30, "service_error_ratio": 0.05, "service_duration_seconds": 1,
    "service_headline_ratio": 0.05, "service_labels_age_seconds": 259_200,
}  # fmt: skip
"""Limits of every model that has none of its own."""
LIMITS: list[Scenario] = [
    scenario(
        "one model has limits of its own, another one has not",
        {**known("mlp"), **known("weekly"), **limit("weekly", "runs_blocked", 5), **limit("weekly", "auc", 0.8)},
        has(
            "model:threshold:last",
            "1m",
            {
                f'{{model="{model}", name="{name}"}}': value
                for model, own in (("mlp", {}), ("weekly", {"runs_blocked": 5, "auc": 0.8}))
                for name, value in {**DEFAULTS, **own}.items()
            },
        ),
    ),
    scenario(
        "two models are due at once, and one of them may take its time",
        {
            **due("next", constant(HOUR)), **due("next", constant(HOUR), model=OF_A_SCRIPT),
            **limit(OF_A_SCRIPT, "schedule_grace_seconds", 6 * HOUR), EXPORTER_UP: constant(1),
        },
        fires("RetrainingOverdue", "7h", late("6h 0m 0s")),
        fires("RetrainingOverdue", "7h20m", late("6h 20m 0s"), late("6h 20m 0s", OF_A_SCRIPT)),
        interval="5m",
    ),
    scenario(
        "two runs in a row of both bring nothing",
        {
            **due("good", constant(HOUR)), **due("good", constant(HOUR), model="weekly"),
            **limit("weekly", "schedule_grace_seconds", 6 * HOUR), EXPORTER_UP: constant(1),
        },
        fires("RetrainingOverdue", "7h", fruitless("6h 0m 0s")),
        interval="5m",
    ),
]  # fmt: skip

STUCK = Alert(
    {**WARNING, **OF_RUN},
    "mlp: a run hangs, or died silently",
    f"Run {RUN} of mlp is in progress, but has written nothing for too long. {LINK}",
    RUN_PAGE,
)


def retrying(attempts: int) -> Alert:
    """A stage that has begun `attempts` times."""
    return Alert(
        {**INFO, **OF_RUN, "stage": "train"},
        f"mlp: train is in attempt {attempts}",
        f"Stage train of run {RUN} of mlp has begun {attempts} times: earlier attempts failed or were killed. {LINK}",
        RUN_PAGE,
    )


RUNS: list[Scenario] = [
    scenario(
        "the very first run fails, and its families leave the exporter two hours later",
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
        "a run that logs goes silent, and comes back",
        {**a_run(samples=120), STATE_FAILED.replace("failed", "lost"): "0x5 1x30 0x80"},
        silent("PipelineRunFailed", "5m"),
        fires("PipelineRunFailed", "20m", FAILED),
        silent("PipelineRunFailed", "1h"),
        interval="1m",
    ),
    scenario(
        "a sweep fails",
        {**a_run(trigger="sweep"), STATE_FAILED: constant(1)},
        silent("PipelineRunFailed", "5m"),
    ),
    scenario(
        "a DAG run fails before it writes to the ledger; a run of another DAG failed that the ledger knows",
        {
            EXPORTER_UP: constant(1), **dag_run_failed("fashion_sweep", "_x30 300x60 stale"),
            **a_run(), STATE_FAILED: constant(1),
        },
        fires("PipelineRunFailed", "5m50s", FAILED),
        fires("PipelineRunFailed", "6m10s", FAILED, failed_before("fashion_sweep")),
        fires("PipelineRunFailed", "15m20s", FAILED),
    ),
    scenario(
        "the same while Airflow does not answer, and the exporter starts again meanwhile",
        {
            EXPORTER_UP: "1x60 0x3 1x600", **component("api_server", "1x40 0x20 _x3 0x600"),
            **dag_run_failed("fashion_training", "300x60 stale"),
        },
        fires("PipelineRunFailed", "1h", failed_before("fashion_training")),
    ),
    scenario(
        "DAG runs fail before they write: one DAG trains two models, and another's model is retired",
        {
            **dag_run_failed("fashion_training", "300x60"), **dag_run_failed("gone", "300x60"),
            **known("mlp", "fashion_training"), **known("twin", "fashion_training"), **known("gone", "gone", "true"),
        },
        fires(
            "PipelineRunFailed", "5m",
            failed_before("fashion_training", "mlp"), failed_before("fashion_training", "twin"),
        ),
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
        has("model:stage_duration_seconds:p95_30d", "10m", {'{model="mlp", stage="train"}': 49}),
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
    scenario(
        "a run takes 30 hours: that one of its first stages was slow is known to its end",
        {
            **past_runs(5),
            series("catwalk_run_info", **OF_RUN, trigger="schedule"): "_x20 1x360",
            series("catwalk_run_started_timestamp_seconds", **OF_RUN): "_x20 6000x360",
            series("ml_stage_duration_seconds", **OF_RUN, stage="train"): "_x20 111x12",
            series("catwalk_stage_duration_seconds", **OF_RUN, stage="train"): "_x20 111x360",
        },
        fires("PipelineTaskSlow", "3h", SLOW_TRAIN),
        fires("PipelineTaskSlow", "31h", SLOW_TRAIN),
        interval="5m",
    ),
]  # fmt: skip


def down(alert: str, name: str, severity: dict[str, str], summary: str, description: str) -> Scenario:
    """A component that is unhealthy for three minutes, and one that recovers just before that."""
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
    "has not been healthy for three minutes. Tasks report to the API server, and while it is silent the state of the "
    "others is unknown."
)
SCHEDULER_DOWN = Alert(
    {**CRITICAL, "component": "scheduler"},
    "Airflow's scheduler is down: nothing is started",
    "Airflow's scheduler has sent no heartbeat for three minutes; no run or task is started.",
    "catwalk-pipeline",
)
OF_STATSD_EXPORTER = 'job="statsd_exporter", instance="statsd_exporter:1"'
STATSD_EXPORTER_UP = f"up{{{OF_STATSD_EXPORTER}}}"


def heartbeats(component_: str, values: str) -> dict[str, str]:
    """What has arrived of a component of Airflow by StatsD."""
    return {series(f"airflow_{component_}_heartbeat_total"): values}


def unheard(name: str) -> Alert:
    """A component whose metrics go nowhere."""
    return Alert(
        {**WARNING, "component": name},
        f"Metrics of Airflow's {name} don't arrive",
        f"Airflow's {name} is healthy, and for five minutes none of its heartbeats has reached statsd_exporter: its "
        "metrics are lost, and AirflowImportErrors (dag_processor) or AirflowTasksStarving (scheduler) can't fire.",
        "catwalk-pipeline",
    )


IMPORT_ERRORS = Alert(
    WARNING,
    "Airflow can't import 1 DAG file(s)",
    "Airflow fails to import 1 DAG file(s); their DAGs are not scheduled as written.",
    "catwalk-pipeline",
)
STARVING = Alert(
    WARNING,
    "2 Airflow task(s) find no free slot",
    "For ten minutes 2 task(s) could not start because their pool has no free slot.",
    "catwalk-pipeline",
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
        "Airflow's DAG processor has sent no heartbeat for three minutes. Known DAGs keep running; changed files are "
        "not read, and after a while Airflow considers DAGs deleted.",
    ),
    down(
        "AirflowTriggererDown", "triggerer", WARNING, "Airflow's triggerer is down",
        "Airflow's triggerer has sent no heartbeat for three minutes; deferred tasks and deadlines wait.",
    ),
    scenario(
        "a DAG is paused for an hour, another one is not",
        {PAUSED: "0x5 1x1000", series("catwalk_dag_paused", dag_id="other"): constant(0), **known("churn", "other")},
        silent("PipelinePaused", "1h50s"),
        fires("PipelinePaused", "1h1m", paused("fashion_training")),
    ),
    scenario(
        "DAGs are paused: one trains two models, one of them retired, and another's only model is retired",
        {
            PAUSED: constant(1), series("catwalk_dag_paused", dag_id="gone"): constant(1),
            **known("mlp", "fashion_training"), **known("old", "fashion_training", "true"),
            **known("gone", "gone", "true"), **known("notebook"),
        },
        fires("PipelinePaused", "1h1m", paused("fashion_training", "mlp")),
    ),
    scenario(
        "a scheduler is dead, and every 160 s the API server does not say so",
        {
            EXPORTER_UP: constant(1),
            **component("scheduler", f"1x5 {' '.join(['0x14 stale'] * 40)}"),
            **component("api_server", f"1x5 {' '.join(['1x14 0'] * 40)}"),
        },
        silent("AirflowSchedulerDown", "3m50s"),
        fires("AirflowSchedulerDown", "4m", SCHEDULER_DOWN),
        fires("AirflowSchedulerDown", "1h40m", SCHEDULER_DOWN),
    ),
    scenario(
        "a DAG file can't be imported; statsd_exporter is away for long, and has forgotten all when it is back",
        {
            STATSD_EXPORTER_UP: "1x59 0x240 1x1000",
            series("airflow_dag_processing_import_errors"): "0x5 1x53 stale _x246 1x20 0x100",
        },
        silent("AirflowImportErrors", "2m50s"),
        fires("AirflowImportErrors", "3m", IMPORT_ERRORS),
        fires("AirflowImportErrors", "30m", IMPORT_ERRORS),
        fires("AirflowImportErrors", "50m30s", IMPORT_ERRORS),
        silent("AirflowImportErrors", "55m"),
        has(
            "statsd_exporter:dag_import_errors:held", "30m", {f"{{{OF_STATSD_EXPORTER}}}": 1}
        ),
        has("statsd_exporter:dag_import_errors:held", "1h45m", {}),  # a quarter of an hour, and Prometheus' 5 minutes
    ),
    scenario(
        "while statsd_exporter is away for long there is an upgrade, before which these series had other names",
        {
            STATSD_EXPORTER_UP: constant(0),
            f"exporter:dag_import_errors:held{{{OF_STATSD_EXPORTER}}}": "1x60",
            f"exporter:tasks_starving:held{{{OF_STATSD_EXPORTER}}}": "2x60",
        },
        has("statsd_exporter:dag_import_errors:held", "1h", {f"{{{OF_STATSD_EXPORTER}}}": 1}),
        has("statsd_exporter:tasks_starving:held", "1h", {f"{{{OF_STATSD_EXPORTER}}}": 2}),
    ),
    scenario(
        "two tasks find no slot, and scrapes of statsd_exporter are lost",
        {
            STATSD_EXPORTER_UP: "1x40 0x3 1x7 0x120 1x1000",
            series("airflow_scheduler_tasks_starving"): "0x5 2x34 stale _x3 2x6 stale _x120 2x5 0x200 stale",
        },
        silent("AirflowTasksStarving", "10m50s"),
        fires("AirflowTasksStarving", "11m", STARVING),
        fires("AirflowTasksStarving", "28m", STARVING),
        silent("AirflowTasksStarving", "30m"),
        has("statsd_exporter:tasks_starving:held", "28m", {'{instance="statsd_exporter:1", job="statsd_exporter"}': 2}),
        has("statsd_exporter:tasks_starving:held", "1h20m", {}),
    ),
    scenario(
        "a healthy scheduler is not heard from, another component never was, a third one is heard",
        {
            STATSD_EXPORTER_UP: constant(1), EXPORTER_UP: constant(1), **component("api_server", constant(1)),
            **component("scheduler", constant(1)), **component("dag_processor", constant(1)),
            **component("triggerer", constant(1)), **component("metadatabase", constant(1)),
            **heartbeats("scheduler", "0+2x60 120x500"), **heartbeats("triggerer", "0+2x600"),
        },
        has(
            "statsd_exporter:airflow_heartbeats:increase5m",
            "10m",
            {'{component="scheduler"}': 60, '{component="triggerer"}': 60},
        ),
        fires("AirflowMetricsMissing", "5m", unheard("dag_processor")),
        fires("AirflowMetricsMissing", "17m", unheard("dag_processor")),
        fires("AirflowMetricsMissing", "18m10s", unheard("dag_processor"), unheard("scheduler")),
    ),
    scenario(
        "all components are heard, or are not healthy",
        {
            STATSD_EXPORTER_UP: constant(1),
            **component("scheduler", constant(1)), **component("triggerer", constant(0)),
            **component("dag_processor", constant(1)),
            **heartbeats("scheduler", "0+2x600"), **heartbeats("dag_processor", "0+2x600"),
        },
        silent("AirflowMetricsMissing", "30m"),
    ),
    scenario(
        "statsd_exporter was away: nothing of Airflow arrives, and that has a name",
        {
            STATSD_EXPORTER_UP: "1x60 0x60 1x600", **component("scheduler", constant(1)),
            **heartbeats("scheduler", "0+2x60 stale _x63 0+2x500"),
        },
        silent("AirflowMetricsMissing", "20m"),
        silent("AirflowMetricsMissing", "21m"),
        silent("AirflowMetricsMissing", "25m"),
    ),
    scenario(
        "the same without an end, while one scrape in ten is lost",
        {
            STATSD_EXPORTER_UP: " ".join(["1x8 0"] * 60), **component("scheduler", constant(1)),
        },
        fires("AirflowMetricsMissing", "10m", unheard("scheduler")),
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
        "the store is away for just under half a minute, then for longer",
        {series("catwalk_store_up"): "1x5 0x2 1x5 0x100"},
        silent("StoreUnavailable", "1m20s"),
        silent("StoreUnavailable", "2m50s"),
        fires(
            "StoreUnavailable",
            "3m",
            Alert(
                CRITICAL,
                "The store does not answer: runs can't save, states are old",
                "The exporter has not been able to read the run ledger for half a minute. Runs stop and try "
                "again; states, decisions and the champion keep their last values.",
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
                "The store is slow: get takes 1.05s",
                "One in twenty of the exporter's get requests to the store takes longer than 1.05s.",
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

SCENARIOS = FRESHNESS + RUNS + DURATIONS + AIRFLOW + STORE + LIMITS
