"""What of Airflow's REST API retraining asks, for cases that a real Airflow can't be brought into, such as answers that
get lost, and for many cases in a moment. ``tests/integration/test_retraining.py`` has the real one."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.retraining import ClaimRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import run_id_of_dag_run, summary_key
from catwalk.retraining.episodes import asked_for, claim
from catwalk.storage.store import Store
from tests.support.notifying import Listener

DAG = "churn_training"
Run = dict[str, Any]


class SmallAirflow:
    """One DAG. Runs stay queued until :meth:`work`, or until they are asked for where `works_at_once`."""

    def __init__(self, works_at_once: Callable[[Run], None] | None = None) -> None:
        self.runs: dict[str, Run] = {}
        self.posts: list[str] = []
        """Ids that were asked for, whatever was answered."""
        self.paused = False
        self.has_dag = True
        self.down = False
        """Every request fails inside Airflow."""
        self.loses_answers = False
        """A request for a run is done, and then answered with a fault."""
        self.answers: list[int] = []
        """Status of the next answers to requests for a run, which are not done."""
        self._works, self._lock = works_at_once, threading.Lock()
        self._listener = Listener(self._answer)
        self.url = self._listener.url

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that connects to it."""
        return {"CATWALK_AIRFLOW_URL": self.url, "CATWALK_AIRFLOW_PASSWORD": "secret"}

    @property
    def asked(self) -> int:
        """Requests so far."""
        return len(self._listener.received)

    def schedule(self, day: str, state: str = "running") -> None:
        """A scheduled run."""
        self._add(f"scheduled__{day}", "scheduled", state, f"{day}T03:00:00+00:00")

    def arrives(self, dag_run_id: str) -> None:
        """A request for a run that was on its way for long."""
        self._add(dag_run_id, "manual", "queued", datetime.now(UTC).isoformat())

    def stop(self) -> None:
        self._listener.stop()

    def _add(self, dag_run_id: str, kind: str, state: str, due: str) -> Run:
        run = {"dag_id": DAG, "dag_run_id": dag_run_id, "run_type": kind, "state": state, "run_after": due}
        self.runs[dag_run_id] = run
        return run

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        with self._lock:
            if self.down:
                return 503, {}
            if path == "/auth/token":
                return 201, {"access_token": "token"}
            place, _, query = path.removeprefix(f"/api/v2/dags/{DAG}").partition("?")
            if not self.has_dag or not path.startswith(f"/api/v2/dags/{DAG}"):
                return 404, {"detail": "DAG not found"}
            if method == "POST":
                return self._post(body)
            return self._get(place, dict(urllib.parse.parse_qsl(query)))

    def _post(self, body: Any) -> tuple[int, Any]:
        dag_run_id = body["dag_run_id"]
        self.posts.append(dag_run_id)
        if self.answers:
            return self.answers.pop(0), {"detail": "it has import errors"}
        if dag_run_id in self.runs:
            return 409, {"detail": "it exists"}
        run = self._add(dag_run_id, "manual", "queued", datetime.now(UTC).isoformat())
        if self._works:
            self._works(run)
        return (500, {}) if self.loses_answers else (200, run)

    def _get(self, place: str, query: dict[str, str]) -> tuple[int, Any]:
        if not place:
            return 200, {"dag_id": DAG, "is_paused": self.paused}
        name = urllib.parse.unquote(place.removeprefix("/dagRuns").removeprefix("/"))
        if name:
            return (200, self.runs[name]) if name in self.runs else (404, {"detail": "no run"})
        found = [
            run
            for run in self.runs.values()
            if run["run_type"] == query["run_type"]
            and run["state"] in ("queued", "running")
            and datetime.fromisoformat(run["run_after"]) >= datetime.fromisoformat(query["run_after_gte"])
        ]
        return 200, {"dag_runs": found}


def work(store: Store, model: str, run: Run, decision: str = "hold", state: str = "success") -> bool:
    """Does what the DAG's tasks do in the ledger; False: the first one is skipped, since another has the episode."""
    run_id = run_id_of_dag_run(datetime.fromisoformat(run["run_after"]), run["dag_id"], run["dag_run_id"])
    run["state"] = state
    episode = asked_for(store, model, run["dag_run_id"])
    if episode and not claim(store, model, episode.number, ClaimRecord(run_id, run["dag_run_id"])):
        return False
    summary = SummaryRecord(
        run_id=run_id,
        model=model,
        trigger="alert",
        synthetic=False,
        dag_id=run["dag_id"],
        dag_run_id=run["dag_run_id"],
        git_commit="",
        seed=1,
        parameters={},
        state="succeeded" if decision else "failed",
        started=1.0,
        updated=2.0,
        finished=3.0,
        decision=decision,
        error="" if decision else "train was killed",
    )
    store.put_record(summary_key(run_id), summary)
    if decision == "ship":
        store.put_record(f"champions/{model}.json", ChampionRecord(model, run_id, "m", 1.0, "", "", "gate", ""))
    return True
