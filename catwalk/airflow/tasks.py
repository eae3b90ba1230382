"""Shared parts of the DAGs: the form made from the knobs, the call of a stage in a task, and the rules of retries."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, AssetAlias, BaseOperatorLink, CronTriggerTimetable, Param, get_current_context
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from catwalk.airflow.dag_settings import DagSettings
from catwalk.clients.airflow_api import champion_assets
from catwalk.environment.schedule import NEVER, VARIABLE, airflow_schedule
from catwalk.errors import CatwalkError, TransientError
from catwalk.knobs import Bounds, Knob

if TYPE_CHECKING:
    from catwalk.ledger.records.retraining import RequestRecord
    from catwalk.ledger.runs import Ledger, Run
    from catwalk.telemetry.observer import Observer

log = logging.getLogger("catwalk.dags")

SETTINGS = DagSettings.from_environment()
TRAINING_TIMEOUT = timedelta(seconds=SETTINGS.training_timeout_seconds)

# An asset as an outlet would get an event whenever its task succeeds; an alias gets only the events added to it.
PROMOTIONS = AssetAlias("catwalk_promotions")

DEFAULT_ARGS: dict[str, Any] = {
    "retries": SETTINGS.retries,
    "retry_delay": timedelta(seconds=SETTINGS.retry_delay_seconds),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(TransientError, RetryAction.RETRY, reason="may pass by itself"),
            RetryRule(CatwalkError, RetryAction.FAIL, reason="a retry can't help"),
        ]
    ),
    "execution_timeout": timedelta(seconds=SETTINGS.task_timeout_seconds),
}


def timetable(text: str = "") -> CronTriggerTimetable | str | None:
    """When runs are due: in UTC, as the exporter expects it, whatever Airflow's own time zone is.

    Args:
        text: A schedule in the form of `CATWALK_SCHEDULE`; empty: that variable's value.

    Raises:
        ConfigError: The schedule is invalid.
    """
    schedule = airflow_schedule({VARIABLE: text}) if text else SETTINGS.schedule
    if schedule is None or schedule in NEVER:
        return schedule
    # Zero means never: by default, if an Airflow sees the DAG for the first time within 10 % of the interval after a
    # due time (two hours and 24 minutes for a nightly DAG), it starts a run that no one expects.
    return CronTriggerTimetable(schedule, timezone="UTC", run_immediately=timedelta(0))


def documentation(text: str) -> str:
    """A DAG's description in Airflow: its own text, below messages about invalid settings in the environment."""
    for complaint in SETTINGS.complaints:
        log.warning("%s; using the default", complaint)
    return (
        "".join(
            f"**{complaint}; using the default.**\
\
"
            for complaint in SETTINGS.complaints
        )
        + text
    )


def of_callers_file(made: DAG) -> DAG:
    """Marks a DAG as defined in the file that requested it, so that Airflow shows that file's code."""
    made.fileloc = sys._getframe(2).f_code.co_filename
    return made


def param(knob: Knob, defaults: Mapping[str, Any] | None = None) -> Param:
    """A field of the form that Airflow shows when you trigger a DAG, with the DAG's own default if it has one."""
    kind = {int: "integer", float: "number", str: "string"}[knob.type]
    schema: dict[str, Any] = {"type": ["null", kind] if knob.nullable else kind}
    if knob.choices:
        schema["enum"] = list(knob.choices)
    if knob.bounds:
        schema |= _limits(knob.bounds)
    default = (defaults or {}).get(knob.name, knob.text_default)
    return Param(default, title=knob.name, description=knob.help, section=knob.section, **schema)


def _limits(bounds: Bounds) -> dict[str, Any]:
    """The bounds, as JSON Schema."""
    lowest = "exclusiveMinimum" if bounds.above else "minimum"
    multiple = {"multipleOf": bounds.multiple_of} if bounds.multiple_of != 1 else {}
    return {lowest: bounds.low, "maximum": bounds.high, **multiple}


class ReportLink(BaseOperatorLink):
    """A button on each task that opens the run's report, or its current state."""

    name = "Run report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Returns the link; Airflow calls this at the end of a task, where `ti_key` is the whole task instance."""
        from catwalk.environment.parts import public_url

        return f"{public_url('exporter')}/runs/{self.run_id(ti_key)}"

    def run_id(self, task_instance: Any) -> str:
        """The id of the run that a task works on."""
        return run_id_of(task_instance.get_template_context()["dag_run"], task_instance.map_index)


def run_id_of(dag_run: Any, map_index: int | None = -1) -> str:
    """The id of the run that belongs to a DAG run, or to one of its mapped tasks: the same in every attempt."""
    from catwalk.ledger.runs import run_id_of_dag_run

    return run_id_of_dag_run(dag_run.run_after, dag_run.dag_id, dag_run.run_id, -1 if map_index is None else map_index)


def begins(dag_run: Any) -> datetime:
    """The time that a DAG run is for: its logical date, or else when it was due; the same in every attempt."""
    found: datetime = dag_run.logical_date or dag_run.run_after
    return found


def requested(ledger: Ledger, model: str, dag_run: Any) -> RequestRecord | None:
    """The episode that requested a DAG run; None if no alert did.

    The first run claims the episode. Any other run is skipped, whatever started it: Airflow may have been restored from
    a backup and received the request again.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from catwalk.ledger.model_names import spelling
    from catwalk.ledger.records.retraining import ClaimRecord
    from catwalk.retraining.episodes import asked_for, claim

    named = spelling(model)
    found = asked_for(ledger.store, named, dag_run.run_id)
    if found and not claim(ledger.store, named, found.number, ClaimRecord(run_id_of(dag_run), dag_run.run_id)):
        raise AirflowSkipException(f"another run has already retrained {named} for episode {found.number}")
    return found


def open_ledger() -> tuple[Ledger, Observer]:
    """The run ledger of the environment, and the observer of its operations."""
    from catwalk.ledger.runs import Ledger
    from catwalk.storage.opening import open_store
    from catwalk.telemetry.emitter import observer_from_environment

    observer = observer_from_environment()
    return Ledger(open_store(on_operation=observer.store_operation)), observer


def publish_run(run_id: str) -> None:
    """Runs the last stage, whatever happened before; a run that was never opened has nothing to publish."""
    from catwalk.stages.publish import publish

    ledger, observer = open_ledger()
    publish(ledger.run(run_id), observer)


def announce(run: Run) -> None:
    """Adds an event to the assets of a new champion. A retried task may add it twice, but never omits it."""
    from catwalk.ledger.models.champion import in_service

    champion = in_service(run)
    if champion:
        events = get_current_context()["outlet_events"][PROMOTIONS]
        for name in champion_assets(champion.model):
            events.add(Asset(name), extra=dict(champion.announcement))
