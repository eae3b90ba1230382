"""The DAG that retrains a model on its schedule: ingest → train → test → decide, and always publish.

It is only wiring: the stages are in `catwalk.stages`, and what they report in `catwalk.telemetry`. The tasks import
both, so that Airflow parses a DAG file quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, chain, dag, get_current_context, task

from catwalk.airflow.tasks import (
    DEFAULT_ARGS,
    PROMOTIONS,
    TRAINING_TIMEOUT,
    ReportLink,
    announce,
    begins,
    documentation,
    of_callers_file,
    open_ledger,
    param,
    publish_run,
    requested,
    run_id_of,
    timetable,
)
from catwalk.gate.limits import Threshold, of_alerts
from catwalk.knobs import knobs
from catwalk.trainable import Trainable, find

if TYPE_CHECKING:
    from catwalk.ledger.records.run import Stage, Trigger
    from catwalk.ledger.runs import Run

Limits = dict[str, Threshold]


def retraining_dag(
    trainable: Trainable | str,
    *,
    dag_id: str,
    schedule: str = "",
    thresholds: Mapping[str, Threshold] | None = None,
    settings: Mapping[str, Any] | None = None,
    doc: str = "",
) -> DAG:
    """The DAG of one model, for a DAG file to assign to a name.

    Args:
        trainable: The Trainable, or its reference, ``package.module:NAME``.
        dag_id: Its permanent name: run ids are derived from it.
        schedule: Five cron fields in UTC, a preset such as ``@daily``, or the text ``None``; empty: the value of
            `CATWALK_SCHEDULE`.
        thresholds: The model's own thresholds of alerts (:data:`catwalk.gate.config.LIMITS`), each with or without a
            reason, such as ``{"runs_blocked": (5, "its data arrives late")}``. The gate's section of the configuration
            has the conditions for shipping.
        settings: Knob → its default in this DAG's form and its scheduled runs, such as ``{"source": "feed"}``.
        doc: Its description in Airflow, in Markdown.

    Raises:
        ConfigError: The Trainable doesn't exist, or the schedule or a setting is invalid.
        InputError: A threshold is invalid.
    """
    limits = dict(thresholds or {})
    of_alerts(limits)
    model = find(trainable) if isinstance(trainable, str) else trainable
    defaults = dict(settings or {})
    model.config.from_flat(defaults)

    @dag(
        dag_id=dag_id,
        schedule=timetable(schedule),  # no start_date: with one, a new Airflow would catch up on last night's run
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        params={knob.name: param(knob, defaults) for knob in knobs(model.config)},
        default_args=DEFAULT_ARGS,
        tags=["catwalk"],
        doc_md=documentation(doc),
    )
    def retraining() -> None:
        stages = [*_deciding(model, schedule, limits), publish().as_teardown()]
        for stage in stages:
            stage.operator.operator_extra_links = (ReportLink(),)
        chain(*stages)

    return of_callers_file(retraining())


def _deciding(model: Trainable, schedule: str, limits: Limits) -> list[Any]:
    """The tasks whose stages need the model, in order, in the DAG that is being built."""

    @task
    def ingest() -> None:
        """Reads the data, splits it, and stores it under its content hash."""
        _run_stage(model, "ingest", schedule, limits)

    @task(execution_timeout=TRAINING_TIMEOUT)
    def train() -> None:
        """Trains the model, from the last checkpoint if there is one."""
        _run_stage(model, "train", schedule, limits)

    @task
    def test() -> None:
        """Verifies the model's sha256, and scores it on the test examples."""
        _run_stage(model, "test", schedule, limits)

    @task(outlets=[PROMOTIONS])
    def decide() -> None:
        """Ships or holds the model; a ship is an event of the asset that deployments wait for."""
        announce(_run_stage(model, "decide", schedule, limits))

    return [ingest(), train(), test(), decide()]


@task
def publish() -> None:
    """Records how the run ended, sends every point again and writes the report, whatever happened before."""
    publish_run(run_id_of(get_current_context()["dag_run"]))


def _run_stage(trainable: Trainable, stage: Stage, schedule: str, limits: Limits) -> Run:
    """Runs one stage of the run that belongs to this DAG run; every attempt finds the same run."""
    from catwalk.stages.lifecycle.opening import open_run
    from catwalk.stages.pipeline import STAGE_FUNCTIONS

    context = get_current_context()
    dag_run = context["dag_run"]
    config = trainable.config.from_flat(dict(context["params"]))
    ledger, observer = open_ledger()
    request = requested(ledger, trainable.plan(config).model, dag_run)
    by_hand: Trigger = "alert" if request else "manual"
    trigger: Trigger = "schedule" if dag_run.run_type == "scheduled" else by_hand
    origin = dag_run.dag_id, dag_run.run_id
    options: dict[str, Any] = {"observer": observer, "schedule": schedule, "limits": limits}
    options |= {"begins": begins(dag_run), "request": request}
    run = open_run(ledger, run_id_of(dag_run), trainable, config, trigger, *origin, **options)
    STAGE_FUNCTIONS[stage](run, observer)
    return run
