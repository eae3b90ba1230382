"""What retraining asks of Airflow: whether it has a run, and to start one."""

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
    """A run, as Airflow has it."""

    dag_run_id: str
    ended: bool
    run_id: str
    """In the ledger, where the DAG is one of Catwalk's."""


class Airflow:
    """The Airflow of the environment; signs in anew once it is refused."""

    def __init__(self) -> None:
        self._api: AirflowApi | None = None

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused.

        Raises:
            AirflowRefusedError: with 404, there is no such DAG.
            AirflowError: Airflow does not say.
        """
        return bool(self._ask("GET", _path(dag_id))["is_paused"])

    def find(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """A run by its id; None: there is none.

        Raises:
            AirflowError: Airflow does not say.
        """
        try:
            return _dag_run(self._ask("GET", f"{_path(dag_id)}/dagRuns/{quote(dag_run_id, safe='')}"))
        except AirflowRefusedError as error:
            if error.status == 404:
                return None
            raise

    def scheduled(self, dag_id: str, day: str) -> DagRun | None:
        """A scheduled run under way whose data is of this day (ISO 8601, UTC) or of a later one; None: there is none.

        Raises:
            AirflowError: Airflow does not say.
        """
        since = quote(f"{day}T00:00:00Z", safe="")
        wanted = f"run_type=scheduled&state=queued&state=running&run_after_gte={since}&order_by=-run_after&limit=1"
        found = self._ask("GET", f"{_path(dag_id)}/dagRuns?{wanted}")["dag_runs"]
        return _dag_run(found[0]) if found else None

    def start(self, dag_id: str, dag_run_id: str, note: str) -> None:
        """Asks for a run. It has no logical date, so that it clashes with no other.

        Raises:
            AirflowRefusedError: Airflow won't; with 409, it has the run already.
            AirflowError: nobody knows whether it has come to pass.
        """
        body: dict[str, Any] = {"dag_run_id": dag_run_id, "logical_date": None, "conf": {}, "note": note}
        self._ask("POST", f"{_path(dag_id)}/dagRuns", body)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        api = self._api = self._api or AirflowApi.from_environment()
        if api is None:
            raise AirflowError("no Airflow is known; set CATWALK_AIRFLOW_URL and CATWALK_AIRFLOW_PASSWORD")
        try:
            return api.request(method, path, body)
        except AirflowRefusedError as error:
            if error.status in (401, 403):
                self._api = None  # its token may have run out
            raise


def _path(dag_id: str) -> str:
    return f"dags/{quote(dag_id, safe='')}"


def _dag_run(told: Mapping[str, Any]) -> DagRun:
    try:
        due = datetime.fromisoformat(told["run_after"])
        run_id = run_id_of_dag_run(due, told["dag_id"], told["dag_run_id"])
        return DagRun(told["dag_run_id"], told["state"] in _ENDED, run_id)
    except (KeyError, TypeError, ValueError):
        raise AirflowError("what Airflow says of a run can't be read; is it Airflow 3?") from None
