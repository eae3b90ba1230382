"""The mapping of names that other Airflow versions send: 2.10 to 3.2, and any that sends legacy names.

A legacy name contains the values that others have as tags: ``ti.finish.DAG.TASK.STATE`` is ``ti.finish``. Up to 3.1
both are sent, whatever the settings; from 3.2 on, ``legacy_names_on`` decides. The tests compare the rules with lists
of all names that each Airflow can send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.rule import Rule

_RENAMED = {
    "zombies_killed": "task_instances_without_heartbeats_killed",
    "dataset.updates": "asset.updates",
    "dataset.orphaned": "asset.orphaned",
    "dataset.triggered_dagruns": "asset.triggered_dagruns",
}
"""The Airflow 3 name of each Airflow 2 name."""

_COUNTERS: dict[str, tuple[tuple[str, ...], str]] = {
    "sla_missed": (("dag_id", "task_id"), "Tasks that missed their SLA (Airflow 2)."),
    "sla_callback_notification_failure": (
        ("dag_id", "func_name"),
        "Callbacks on a missed SLA that failed (Airflow 2).",
    ),
    "sla_email_notification_failure": (("dag_id",), "E-mails on a missed SLA that failed (Airflow 2)."),
    "dag_processing.sla_callback_count": ((), "Requested checks of SLAs (Airflow 2)."),
    "local_task_job_prolonged_heartbeat_failure": (
        (),
        "Tasks whose heartbeat failed for a long time (Airflow 2).",
    ),
}

_BATCH = Metric(
    "airflow_kubernetes_executor_pod_creation_batch_duration_seconds",
    "statsd",
    "histogram",
    "Time to create a batch of pods in seconds.",
    unit="seconds",
    buckets=(0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0),
)
_BATCH_SIZE = Metric(
    "airflow_kubernetes_executor_pod_creation_batch_size",
    "statsd",
    "gauge",
    "Pods in the last created batch.",
    ttl_seconds=600,
)

_DROPPED = {
    "task.cpu_usage.{dag_id}.{task_id}": "Airflow 2 sends it without tags, so the end of the DAG's id is unknown",
    "task.mem_usage.{dag_id}.{task_id}": "the same as task.cpu_usage",
    "dag_processing.last_num_of_db_queries.{file_name}": "Airflow 2 sends it without tags",
    "edge_worker.{key}": "metrics that workers add under unbounded names",
}


def older_rules(prefix: str, registry: list[dict[str, Any]], known: Mapping[str, Rule]) -> list[Rule]:
    """Returns rules for all names that are not among the registry's tagged names.

    Args:
        prefix: The prefix of all names.
        registry: Airflow's registry, whose entries have legacy names.
        known: The rules for its tagged names, by match.
    """
    legacy = [(entry["name"], entry["legacy_name"]) for entry in registry if entry.get("legacy_name", "-") != "-"]
    return [
        *(
            Rule(prefix + old, known[prefix + new].metric, reason=f"{new} in Airflow 3")
            for old, new in _RENAMED.items()
        ),
        *(Rule(prefix + name, _counter(name, *described)) for name, described in _COUNTERS.items()),
        Rule(f"{prefix}kubernetes_executor.pod_creation_batch_duration", _BATCH),
        Rule(f"{prefix}kubernetes_executor.pod_creation_batch_size", _BATCH_SIZE),
        *_legacy(prefix, legacy),
        *(Rule(_regex(prefix + name), None, reason=reason) for name, reason in _DROPPED.items()),
    ]


def _legacy(prefix: str, names: list[tuple[str, str]]) -> Iterator[Rule]:
    for tagged, legacy in names:
        if not legacy.startswith("executor."):  # with several executors, this is the only name
            yield Rule(
                _regex(prefix + legacy), None, reason=f"legacy name of {tagged}, which has the same values as tags"
            )


def _regex(template: str) -> str:
    """Returns a pattern in which the parts in braces may contain dots, as ids of DAGs and task groups do."""
    fixed = re.split(r"\{\w+\}(?:\.\{\w+\})*", template)
    return f"^{'.+'.join(re.escape(part) for part in fixed)}$"


def _counter(name: str, labels: tuple[str, ...], meaning: str) -> Metric:
    stem = name.replace(".", "_").removesuffix("_count")
    return Metric(f"airflow_{stem}_total", "statsd", "counter", meaning, labels=labels)
