"""Retrains the Fashion-MNIST classifier once a night: ingest → train → test → decide, and publish whatever happens.

Wiring only: what each stage does is in `ml.pipeline`, what it tells the outside in `monitoring`. Both are imported
inside the tasks, so that Airflow parses this file in a moment.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperatorLink, Param, chain, dag, get_current_context, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from ml.config import CHAMPION_ASSET, Knob, knobs
from ml.errors import CancelledError, CatwalkError, StoreUnavailableError

if TYPE_CHECKING:
    from ml.records import Stage, Trigger
    from ml.runs import Run

SCHEDULE = os.environ.get("CATWALK_SCHEDULE", "0 3 * * *")
RETRIES = int(os.environ.get("CATWALK_TASK_RETRIES", "4"))
RETRY_DELAY = timedelta(seconds=float(os.environ.get("CATWALK_RETRY_DELAY_SECONDS", "15")))

CHAMPION = Asset(CHAMPION_ASSET)
"""Gets an event when a model goes into service: what deploys it can be scheduled on this."""
# An outlet that is an asset would get an event whenever its task succeeds; one that is an alias gets those added to it.
PROMOTIONS = AssetAlias("catwalk_promotions")

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


class ReportLink(BaseOperatorLink):
    """A button on each task that leads to the run's report, or to what there is of it so far."""

    name = "Run report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Asked at the end of a task, where `ti_key` is the whole task instance."""
        base = os.environ.get("CATWALK_REGISTRY_URL") or "http://127.0.0.1:9180"
        return f"{base}/runs/{_run_id(ti_key.get_template_context()['dag_run'])}"


def _run_id(dag_run: Any) -> str:
    from ml.runs import run_id_of_dag_run

    return run_id_of_dag_run(dag_run.run_after, dag_run.dag_id, dag_run.run_id)


def _run_stage(stage: Stage) -> Run:
    """Runs one stage of the run that belongs to this DAG run; every try finds the same one."""
    from ml.config import RunConfig
    from ml.pipeline import STAGE_FUNCTIONS, open_run, publish
    from ml.runs import Ledger
    from ml.store import Store
    from monitoring.emitter import observer_from_environment

    context = get_current_context()
    dag_run = context["dag_run"]
    run_id = _run_id(dag_run)
    observer = observer_from_environment()
    ledger = Ledger(Store.from_environment(observer.store_operation))
    if stage == "publish":
        run = ledger.run(run_id)
        publish(run, observer)
        return run
    trigger: Trigger = "schedule" if dag_run.run_type == "scheduled" else "manual"
    config = RunConfig.from_flat(dict(context["params"]))
    run = open_run(ledger, run_id, config, trigger, dag_run.dag_id, dag_run.run_id)
    STAGE_FUNCTIONS[stage](run, observer)
    return run


def _announce(run: Run) -> None:
    """Adds an event for a model in service. A task that is tried again may add it twice, but never forgets it."""
    from ml.champion import Champions

    current = Champions(run.store).get(run.record.model)
    if current and current[0].run_id == run.run_id:
        events = get_current_context()["outlet_events"]
        events[PROMOTIONS].add(CHAMPION, extra=current[0].announcement)


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

    @task(outlets=[PROMOTIONS])
    def decide() -> None:
        """Ships the model or holds it; a ship is an event of the asset that deployments wait for."""
        _announce(_run_stage("decide"))

    @task
    def publish() -> None:
        """Says how the run ended, sends every point once more and writes the report; runs whatever happened before."""
        _run_stage("publish")

    stages = [ingest(), train(), test(), decide(), publish().as_teardown()]
    for stage in stages:
        stage.operator.operator_extra_links = (ReportLink(),)
    chain(*stages)


fashion_training()
