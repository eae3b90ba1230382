"""Retrains the Fashion-MNIST classifier once a night: ingest → train → test → decide, and publish whatever happens.

Wiring only: what each stage does is in `catwalk.stages.pipeline`, what it tells the outside in `monitoring`. Both are
imported inside the tasks, so that Airflow parses this file in a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import chain, dag, get_current_context, task

from catwalk.airflow.tasks import (
    DEFAULT_ARGS,
    PROMOTIONS,
    TRAINING_TIMEOUT,
    ReportLink,
    announce,
    documentation,
    open_ledger,
    param,
    publish_run,
    run_id_of,
    timetable,
)
from catwalk.knobs import knobs
from ml.fashion_mnist.config import RunConfig

if TYPE_CHECKING:
    from catwalk.ledger.records import Stage, Trigger
    from catwalk.ledger.runs import Run


def _run_stage(stage: Stage) -> Run:
    """Runs one stage of the run that belongs to this DAG run; every try finds the same one."""
    from catwalk.stages.pipeline import STAGE_FUNCTIONS, open_run

    context = get_current_context()
    dag_run = context["dag_run"]
    trigger: Trigger = "schedule" if dag_run.run_type == "scheduled" else "manual"
    config = RunConfig.from_flat(dict(context["params"]))
    ledger, observer = open_ledger()
    run_id = run_id_of(dag_run)
    run = open_run(ledger, run_id, config, trigger, dag_run.dag_id, dag_run.run_id, observer=observer)
    STAGE_FUNCTIONS[stage](run, observer)
    return run


@dag(
    schedule=timetable(),  # no start_date: with one, a fresh Airflow would make up for last night's run at once
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={knob.name: param(knob) for knob in knobs(RunConfig)},
    default_args=DEFAULT_ARGS,
    tags=["catwalk"],
    doc_md=documentation(__doc__),
)
def fashion_training() -> None:
    @task
    def ingest() -> None:
        """Reads Fashion-MNIST, splits it and stores it under its content hash."""
        _run_stage("ingest")

    @task(execution_timeout=TRAINING_TIMEOUT)
    def train() -> None:
        """Trains the network, from the last checkpoint where there is one."""
        _run_stage("train")

    @task
    def test() -> None:
        """Verifies the model's sha256 and scores it on the 10,000 test images."""
        _run_stage("test")

    @task(outlets=[PROMOTIONS])
    def decide() -> None:
        """Ships the model or holds it; a ship is an event of the asset that deployments wait for."""
        announce(_run_stage("decide"))

    @task
    def publish() -> None:
        """Says how the run ended, sends every point once more and writes the report; runs whatever happened before."""
        publish_run(run_id_of(get_current_context()["dag_run"]))

    stages = [ingest(), train(), test(), decide(), publish().as_teardown()]
    for stage in stages:
        stage.operator.operator_extra_links = (ReportLink(),)
    chain(*stages)


fashion_training()
