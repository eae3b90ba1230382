"""The mapping of Airflow's own metrics: each entry of its registry gets a well-named series, or is dropped for a
reason.

Airflow ships its registry as YAML, with names, kinds and meanings. What it omits or gets wrong (labels, units, names
that are never sent, names that are sent but not registered) was read from Airflow's source and is here. The tests
compare both with the installed Airflow. Airflow must send tagged names: ``statsd_influxdb_enabled = True``,
``legacy_names_on = False``, prefix ``airflow``. With several teams, series also have the label ``team_name``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from catwalk.telemetry.airflow_older import older_rules
from catwalk.telemetry.catalogue import Kind, Metric, Unit
from catwalk.telemetry.rule import Rule

PREFIX = "airflow."
GAUGE_TTL_SECONDS = 600
"""Airflow's gauges freeze when the scheduler dies: they must disappear rather than show old values."""
LONG_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0)
"""Buckets for tasks and DAG runs; the mapping's default."""
SHORT_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0)
"""Buckets for operations that Airflow performs many times a minute."""


@dataclass(frozen=True)
class _Special:
    """How a series differs from the one that the registry's entry would give."""

    labels: tuple[str, ...] | None = None
    """The tags that Airflow sends; None for those in the registry."""
    name: str = ""
    help: str = ""
    unit: Unit = ""
    match: str = ""
    """The name on the wire, if it differs from the registry's."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    short: bool = False
    """Whether it usually takes far less than a second."""
    reason: str = ""


_DAG = ("dag_id", "run_type")
_TASK = ("dag_id", "task_id")
_QUEUED = ("queue", *_TASK)
_NEVER_SENT = "in the registry, but nothing in Airflow 3.3.2 sends it"
_NEVER_CALLED = (
    "sent only by TaskInstance.check_and_change_state_before_execution, which nothing in Airflow 3.3.2 calls any more"
)
_JOB = "the registry says {job_name}, but the class is always Job"
_FILE_PATH = "the tag file_path adds nothing to bundle_name and file_name"
_STATUS = "the tag status repeats the name"
_DAG_RUN = "without Airflow's default statsd_disabled_tags this would be one series per DAG run, so the tag is removed"


def _task_state(state: str) -> _Special:
    return _Special(
        (*_QUEUED, "state"),
        "airflow_task_instances",
        "Task instances by state, for the states between waiting and done.",
        fixed={"state": state},
    )


def _pool_slots(state: str) -> _Special:
    help_text = "Slots of a pool by use."
    return _Special(("pool_name", "state"), "airflow_pool_slots", help_text, fixed={"state": state})


def _dag_run_duration(state: str) -> _Special:
    help_text = "Duration of DAG runs in seconds, by their final state."
    return _Special((*_DAG, "state"), "airflow_dagrun_duration_seconds", help_text, fixed={"state": state})


def _executor_slots(name: str, help_text: str) -> _Special:
    return _Special(("executor_class_name",), name, help_text, fixed={"status": ""}, reason=_STATUS)


_SPECIAL: dict[str, _Special] = {
    "{job_name}_start": _Special((), match="job_start", help="Airflow components started.", reason=_JOB),
    "{job_name}_end": _Special((), match="job_end", help="Airflow components that ended normally.", reason=_JOB),
    "{job_name}_heartbeat_failure": _Special(
        (), match="job_heartbeat_failure", help="Heartbeats of Airflow components that failed.", reason=_JOB
    ),
    "operator_failures": _Special((*_TASK, "operator_name"), help="Task failures by operator."),
    "operator_successes": _Special((*_TASK, "operator_name"), help="Task successes by operator."),
    **{
        f"resumable_job.{event}": _Special(("operator",))
        for event in (
            "fresh_submit",
            "already_succeeded",
            "terminal_resubmit",
            "reconnect_attempt",
            "reconnect_success",
        )
    },
    "ti_failures": _Special(_TASK),
    "ti_successes": _Special(_TASK),
    "task_instances_without_heartbeats_killed": _Special(_TASK),
    "scheduler.tasks.killed_externally": _Special(_TASK),
    "ti.start": _Special(_TASK, help="Tasks started, including retries."),
    "ti.finish": _Special((*_TASK, "state"), help="Tasks that ended, by state; killed tasks are not included."),
    "dag_processing.processor_timeouts": _Special(("file_path",)),
    "dag.callback_exceptions": _Special(("dag_id",)),
    "task_removed_from_dag": _Special(_DAG),
    "task_restored_to_dag": _Special(_DAG),
    "task_instance_created": _Special((*_DAG, "task_type")),
    "deadline_alerts.deadline_created": _Special(("dag_id",)),
    "deadline_alerts.deadline_missed": _Special(("dag_id",), fixed={"dagrun_id": ""}, reason=_DAG_RUN),
    "deadline_alerts.deadline_not_missed": _Special(("dag_id",), fixed={"dagrun_id": ""}, reason=_DAG_RUN),
    "connection_test.reaped": _Special(("prior_state",)),
    "dagbag_size": _Special(name="airflow_dagbag_dags"),
    "dag_processing.total_parse_time": _Special(
        name="airflow_dag_processing_parse_seconds",
        help="Duration of the last scan and import of all DAG files in seconds.",
        unit="seconds",
    ),
    "dag_processing.file_path_queue_size": _Special(name="airflow_dag_processing_queued_files"),
    "dag_processing.last_run.seconds_ago": _Special(
        ("bundle_name", "file_name"),
        "airflow_dag_processing_last_run_age_seconds",
        unit="seconds",
        fixed={"file_path": ""},
        reason=_FILE_PATH,
    ),
    "executor.open_slots": _executor_slots("airflow_executor_open_slots", "Free slots of the executor."),
    "executor.queued_tasks": _executor_slots("airflow_executor_queued_tasks", "Tasks queued in the executor."),
    "executor.running_tasks": _executor_slots("airflow_executor_running_tasks", "Tasks running in the executor."),
    **{f"pool.{state}_slots": _pool_slots(state) for state in ("open", "queued", "running", "deferred", "scheduled")},
    **{f"ti.{state}": _task_state(state) for state in ("scheduled", "queued", "running", "deferred")},
    "ol.event.size": _Special(name="airflow_ol_event_size_bytes", unit="bytes"),
    "dagrun.dependency-check": _Special(_DAG, short=True),
    "task.duration": _Special(_TASK),
    "task.scheduled_duration": _Special((*_TASK, "queue")),
    "dag_processing.last_duration": _Special(
        name="airflow_dag_processing_duration_seconds",
        help="Time to load a DAG file in seconds.",
        scale=1_000.0,
        short=True,
        reason="Airflow sends seconds where StatsD expects milliseconds",
    ),
    "dagrun.duration.success": _dag_run_duration("success"),
    "dagrun.duration.failed": _dag_run_duration("failed"),
    "dagrun.schedule_delay": _Special(("dag_id",)),
    "dagrun.first_task_scheduling_delay": _Special(_DAG),
    "dagrun.first_task_start_delay": _Special(_DAG),
    "scheduler.critical_section_duration": _Special(short=True),
    "scheduler.critical_section_query_duration": _Special(short=True),
    "scheduler.scheduler_loop_duration": _Special(name="airflow_scheduler_loop_duration_seconds", short=True),
    "scheduler.executor_heartbeat_duration": _Special(("executor",), short=True),
    "kubernetes_executor.pod_creation": _Special(short=True),
    "kubernetes_executor.pod_deletion": _Special(short=True),
    "kubernetes_executor.pod_patching": _Special(short=True),
    "edge_executor.sync.duration": _Special(short=True),
    "ol.emit.attempts": _Special(name="airflow_ol_emit_attempt_duration_seconds", short=True),
    "ol.extract": _Special(short=True),
    "airflow.io.load_filesystems": _Special(name="airflow_io_load_filesystems_duration_seconds", short=True),
    "serde.load_serializers": _Special(short=True),
    "connection_test.dispatch_duration": _Special(short=True),
}

_DROPPED: dict[str, str] = {
    "dag_processing.processes": (
        "a counter that is decremented, and only if a parser is killed: neither a sum nor a level"
    ),
    "local_task_job.task_exit": _NEVER_SENT,
    "dag_file_processor_timeouts": f"{_NEVER_SENT}; dag_processing.processor_timeouts took its place",
    "dag_processing.manager_stalls": _NEVER_SENT,
    "dag_file_refresh_error": _NEVER_SENT,
    "dag_processing.last_num_of_db_queries.{dag_file}": _NEVER_SENT,
    "collect_db_dags": _NEVER_SENT,
    "previously_succeeded": _NEVER_CALLED,
    "task.queued_duration": _NEVER_CALLED,
}

_CALLBACK = "its tags contain the callback's arguments and results, which are unbounded"


def load_registry() -> list[dict[str, Any]]:
    """Returns the entries of the installed Airflow's metric registry, found without importing Airflow.

    Raises:
        FileNotFoundError: Airflow is not installed, or keeps its registry elsewhere.
    """
    spec = find_spec("airflow")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("Airflow is not installed, so its metric registry cannot be read")
    path = Path(spec.submodule_search_locations[0], "_shared", "observability", "metrics", "metrics_template.yaml")
    metrics: list[dict[str, Any]] = yaml.safe_load(path.read_text())["metrics"]
    return metrics


def airflow_rules(registry: list[dict[str, Any]]) -> list[Rule]:
    """Returns a rule for each entry of the registry, then rules for other names that this and other versions of Airflow
    send.
    """
    rules = [_rule(entry) for entry in registry]
    known = {rule.match: rule for rule in rules}
    return rules + _outside(known) + older_rules(PREFIX, registry, known)


def _rule(entry: Mapping[str, Any]) -> Rule:
    registered = str(entry["name"])
    match = PREFIX + re.sub(r"\{\w+\}", "*", registered)
    if registered in _DROPPED:
        return Rule(match, None, reason=_DROPPED[registered])
    special = _SPECIAL.get(registered, _Special())
    kind: Kind = "histogram" if entry["type"] == "timer" else entry["type"]
    metric = Metric(
        name=special.name or _name(special.match or registered, kind),
        transport="statsd",
        kind=kind,
        help=special.help or _help(str(entry["description"])),
        labels=tuple(entry["name_variables"]) if special.labels is None else special.labels,
        unit="seconds" if kind == "histogram" else special.unit,
        buckets=(SHORT_SECONDS if special.short else LONG_SECONDS) if kind == "histogram" else (),
        ttl_seconds=GAUGE_TTL_SECONDS if kind == "gauge" else 0,
    )
    match = PREFIX + special.match if special.match else match
    return Rule(match, metric, special.fixed, special.scale, special.reason)


def _outside(known: Mapping[str, Rule]) -> list[Rule]:
    """Returns rules for names that Airflow 3.3.2 sends but that are not in the registry."""
    queued = known[PREFIX + "ti.queued"].metric
    deaths = Metric(
        "airflow_scheduler_deaths_total", "statsd", "counter", "Schedulers that another scheduler found dead."
    )
    executors = ("executor.open_slots", "executor.queued_tasks", "executor.running_tasks")
    return [
        Rule(f"{PREFIX}ti.awaiting_input", queued, {"state": "awaiting_input"}),
        Rule(f"{PREFIX}schedulerjobrunner_end", deaths, reason="sent for other schedulers' jobs, not for its own end"),
        *(
            Rule(
                f"{PREFIX}{name}.*",
                known[PREFIX + name].metric,
                known[PREFIX + name].fixed,
                reason="with several executors, the name also contains the class",
            )
            for name in executors
        ),
        *(
            Rule(f"{PREFIX}{prefix}callback_{status}", None, reason=_CALLBACK)
            for prefix in ("", "deadline_alerts.")
            for status in ("success", "failed")
        ),
    ]


def _name(registered: str, kind: Kind) -> str:
    """Returns the Prometheus name of a metric: ``task.queued_duration`` becomes
    ``airflow_task_queued_duration_seconds``.
    """
    stem = "airflow_" + re.sub(r"[.-]", "_", registered)
    if kind == "counter":
        return stem.removesuffix("_count") + "_total"
    if kind == "histogram":
        return f"{stem}_seconds" if stem.endswith(("_duration", "_delay")) else f"{stem}_duration_seconds"
    return stem


def _help(description: str) -> str:
    """Returns the registry's description as a sentence in base units."""
    text = " ".join(description.replace("``", "").split())
    text = re.sub(r"\.? ?Metric with [^.]*tagging\.?|\.? Legacy metric only [^.]*\.", "", text)
    return text.replace("Milliseconds", "Seconds").rstrip(".") + "."
