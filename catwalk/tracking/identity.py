"""The run that a process works on, and whether it may put a model into service.

A key identifies a run across processes: a retry with the same key continues the same run. By default, Airflow's task
instance is the key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catwalk.errors import InputError, shown
from catwalk.ledger.records.run import Trigger

RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "LOCAL_RANK")
"""Variables with the rank, of torchrun, MPI and Slurm; the first that is set counts."""
_SHIPPING = ("scheduled", "manual")
"""Airflow's kinds of DAG run that may ship; a run that an alert requested is a manual one. A backfill may not ship."""
_LONGEST = 500


@dataclass(frozen=True)
class Identity:
    """The origin of a run."""

    key: str = ""
    """The run's key; empty for a new run without one."""
    dag_id: str = ""
    dag_run_id: str = ""
    kind: str = ""
    """Airflow's kind of DAG run; empty outside Airflow."""
    ships: bool = False
    """Whether its decision may take effect."""

    @property
    def trigger(self) -> Trigger:
        """The trigger in the ledger's terms; a run that may not ship counts as started in a terminal."""
        if not self.ships:
            return "cli"
        return "manual" if self.kind == "manual" else "schedule"


def identify(run_key: str = "", ship: str = "auto", environment: Mapping[str, str] = os.environ) -> Identity:
    """
    Args:
        run_key: The caller's own key; empty: `CATWALK_RUN_KEY`, or Airflow's task instance, if there is one.
        ship: ``auto`` or ``never``.
        environment: The environment variables.

    Raises:
        InputError: The key is not text, or `ship` has another value.
    """
    if not isinstance(run_key, str) or len(run_key) > _LONGEST:
        raise InputError(f"run_key: expected text of at most {_LONGEST} characters; got {shown(run_key)}")
    if ship not in ("auto", "never"):
        raise InputError(f"ship: expected 'auto' or 'never'; got {shown(ship)}")
    found = _of_context(_airflow_context()) or _of_environment(environment)
    key = run_key or environment.get("CATWALK_RUN_KEY", "") or found.key
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InputError(f"run_key, or CATWALK_RUN_KEY: expected text in UTF-8; got {shown(key)}") from None
    wanted = environment.get("CATWALK_SHIP", "").strip() == "1" or found.kind in _SHIPPING
    return Identity(key, found.dag_id, found.dag_run_id, found.kind, wanted and ship == "auto")


def _airflow_context() -> Any:
    """The context of the Airflow task in this process, without importing Airflow; None if there is none."""
    for module in ("airflow.sdk", "airflow.operators.python"):
        ask = getattr(sys.modules.get(module), "get_current_context", None)
        if ask:
            try:
                return ask()
            except Exception:  # each version has its own error for "no task runs here"
                continue
    return None


def _of_context(context: Any) -> Identity | None:
    if not context:
        return None
    dag_run, instance = context["dag_run"], context.get("ti") or context["task_instance"]
    index = getattr(instance, "map_index", -1)
    kind = getattr(dag_run.run_type, "value", dag_run.run_type)
    return _of_task(dag_run.dag_id, dag_run.run_id, instance.task_id, -1 if index is None else index, str(kind))


def _of_environment(environment: Mapping[str, str]) -> Identity:
    """The identity from the variables that Airflow sets for a task's subprocesses. They don't include the map index."""
    dag_id, dag_run_id = environment.get("AIRFLOW_CTX_DAG_ID", ""), environment.get("AIRFLOW_CTX_DAG_RUN_ID", "")
    if not dag_id or not dag_run_id:
        return Identity()
    prefix = dag_run_id.partition("__")[0]
    known = ("scheduled", "backfill", "asset_triggered", "dataset_triggered")
    kind = prefix if prefix in known else "manual"
    index = environment.get("AIRFLOW_CTX_MAP_INDEX", "-1")
    return _of_task(dag_id, dag_run_id, environment.get("AIRFLOW_CTX_TASK_ID", ""), index, kind)


def _of_task(dag_id: str, dag_run_id: str, task_id: str, map_index: int | str, kind: str) -> Identity:
    key = f"airflow:{dag_id}/{dag_run_id}/{task_id}/{map_index}"
    return Identity(key, dag_id, dag_run_id, kind)


def bystander(environment: Mapping[str, str] = os.environ) -> str:
    """Why this process writes nothing: another one of its group does; empty if it writes."""
    for name in RANKS:
        rank = environment.get(name, "").strip()
        if rank.isdigit():
            return f"{name}={rank}" if int(rank) else ""
    return ""
