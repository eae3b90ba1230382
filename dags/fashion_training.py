"""Retrains the Fashion-MNIST classifier once a night: ingest → train → test → decide, and publish whatever happens.

Wiring only: what each stage does is in `ml.pipeline`, what it tells the outside in `monitoring`. Both are imported
inside the tasks, so that Airflow parses this file in a moment.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from ml.config import Knob, knobs
from ml.errors import CancelledError, CatwalkError, StoreUnavailableError

if TYPE_CHECKING:
    from ml.records import Stage, Trigger

SCHEDULE = os.environ.get("CATWALK_SCHEDULE", "0 3 * * *")
RETRIES = int(os.environ.get("CATWALK_TASK_RETRIES", "4"))
RETRY_DELAY = timedelta(seconds=float(os.environ.get("CATWALK_RETRY_DELAY_SECONDS", "15")))

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule([StoreUnavailableError, CancelledError], RetryAction.RETRY, reason="may pass"),
        RetryRule(CatwalkError, RetryAction.FAIL, reason="trying again cannot help"),
    ]
)


def _param(knob: Knob) -> Param:
    kind = {int: "integer", float: "number", str: "string"}[knob.type]
    schema: dict[str, Any] = {"type": ["null", kind] if knob.nullable else kind}
    if knob.choices:
        schema["enum"] = list(knob.choices)
    return Param(knob.text_default, title=knob.name, description=knob.help, section=knob.section, **schema)


def _run_stage(stage: Stage) -> None:
    """Runs one stage of the run that belongs to this DAG run; every try finds the same one."""
    from ml.config import RunConfig
    from ml.pipeline import STAGE_FUNCTIONS, open_run, publish
    from ml.runs import Ledger, run_id_of_dag_run
    from ml.store import Store
    from monitoring.emitter import observer_from_environment

    context = get_current_context()
    dag_run = context["dag_run"]
    run_id = run_id_of_dag_run(dag_run.run_after, dag_run.dag_id, dag_run.run_id)
    observer = observer_from_environment()
    ledger = Ledger(Store.from_environment(observer.store_operation))
    if stage == "publish":
        publish(ledger.run(run_id), observer)
        return
    trigger: Trigger = "schedule" if dag_run.run_type == "scheduled" else "manual"
    config = RunConfig.from_flat(dict(context["params"]))
    run = open_run(ledger, run_id, config, trigger, dag_run.dag_id, dag_run.run_id)
    STAGE_FUNCTIONS[stage](run, observer)


@dag(
    schedule=SCHEDULE,  # no start_date: with one, a fresh Airflow would make up for last night's run at once
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={knob.name: _param(knob) for knob in knobs()},
    default_args={
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": RETRY_POLICY,
        "execution_timeout": timedelta(minutes=15),
    },
    tags=["catwalk"],
    doc_md=__doc__,
)
def fashion_training() -> None:
    @task
    def ingest() -> None:
        """Reads Fashion-MNIST, splits it and stores it under its content hash."""
        _run_stage("ingest")

    @task(execution_timeout=timedelta(hours=2))
    def train() -> None:
        """Trains the network, from the last checkpoint where there is one."""
        _run_stage("train")

    @task
    def test() -> None:
        """Verifies the model's sha256 and scores it on the 10,000 test images."""
        _run_stage("test")

    @task
    def decide() -> None:
        """Ships the model or holds it."""
        _run_stage("decide")

    @task
    def publish() -> None:
        """Says how the run ended and sends every point once more; runs whatever happened before."""
        _run_stage("publish")

    ingest() >> train() >> test() >> decide() >> publish().as_teardown()


fashion_training()
