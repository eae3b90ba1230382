"""The calls of Airflow's API that retraining needs: find runs, and start one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from catwalk.clients.airflow_api import AirflowApi, AirflowError, AirflowRefusedError
from catwalk.ledger.runs import run_id_of_dag_run

_ENDED = ("success", "failed")


@dataclass(frozen=True)
class DagRun:
    """A DAG run in Airflow."""

    dag_run_id: str
    ended: bool
    run_id: str
    """Its id in the ledger, if the DAG is one of Catwalk's."""


class Airflow:
    """The Airflow that the environment names. Signs in again if its token is refused."""

    def __init__(self) -> None:
        self._api: AirflowApi | None = None

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused.

        Raises:
            AirflowRefusedError: With 404, there is no such DAG.
            AirflowError: Airflow does not answer.
        """
        return bool(self._ask("GET", _path(dag_id))["is_paused"])

    def find(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """A run by its id; None: there is none.

        Raises:
            AirflowError: Airflow does not answer.
        """
        try:
            return _dag_run(self._ask("GET", f"{_path(dag_id)}/dagRuns/{quote(dag_run_id, safe='')}"))
        except AirflowRefusedError as error:
            if error.status == 404:
                return None
            raise

    def scheduled(self, dag_id: str, day: str) -> DagRun | None:
        """A scheduled run, queued or running, with data of this day (ISO 8601, UTC) or later; None: there is none.

        Raises:
            AirflowError: Airflow does not answer.
        """
        since = quote(f"{day}T00:00:00Z", safe="")
        wanted = f"run_type=scheduled&state=queued&state=running&run_after_gte={since}&order_by=-run_after&limit=1"
        found = self._ask("GET", f"{_path(dag_id)}/dagRuns?{wanted}")["dag_runs"]
        return _dag_run(found[0]) if found else None

    def start(self, dag_id: str, dag_run_id: str, note: str) -> None:
        """Requests a run. It has no logical date, so that it does not conflict with another run.

        Raises:
            AirflowRefusedError: Airflow refuses; with 409, it has the run already.
            AirflowError: It is unknown whether Airflow has the run.
        """
        body: dict[str, Any] = {"dag_run_id": dag_run_id, "logical_date": None, "conf": {}, "note": note}
        self._ask("POST", f"{_path(dag_id)}/dagRuns", body)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        api = self._api = self._api or AirflowApi.from_environment()
        if api is None:
            raise AirflowError("Airflow is not configured; set CATWALK_AIRFLOW_URL and CATWALK_AIRFLOW_PASSWORD")
        try:
            return api.request(method, path, body)
        except AirflowRefusedError as error:
            if error.status in (401, 403):
                self._api = None  # its token may have expired
            raise


def _path(dag_id: str) -> str:
    return f"dags/{quote(dag_id, safe='')}"


def _dag_run(found: Mapping[str, Any]) -> DagRun:
    try:
        due = datetime.fromisoformat(found["run_after"])
        run_id = run_id_of_dag_run(due, found["dag_id"], found["dag_run_id"])
        return DagRun(found["dag_run_id"], found["state"] in _ENDED, run_id)
    except (KeyError, TypeError, ValueError):
        raise AirflowError("Airflow's description of a run can't be read; is it Airflow 3?") from None
