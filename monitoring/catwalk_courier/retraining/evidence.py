"""What the ledger and Prometheus know about a retraining."""

from __future__ import annotations

import time
from contextlib import suppress

from catwalk.clients import prometheus
from catwalk.errors import DamagedError, NotFoundError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.models.realised import realised
from catwalk.ledger.records.retraining import RequestRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run
from catwalk.ledger.summaries import Summaries, shown_state, stalled_seconds
from catwalk.retraining.episodes import claimed
from catwalk.retraining.events import Ended
from catwalk.storage.store import Store


def champion_as_of(store: Store, model: str) -> str:
    """The day up to which the champion's data was known; empty: there is no champion, or no readable record of it."""
    with suppress(DamagedError):
        run_id = champion(store, model)
        summary = Run(store, run_id).summary() if run_id else None
        return summary.as_of if summary else ""
    return ""


def labels_received(store: Store, model: str) -> float | None:
    """Unix time at which the last label of the model's predictions arrived; None: no label ever came to the ledger, or
    the record is damaged."""
    with suppress(DamagedError):
        found = realised(store, model)
        return found.received if found else None
    return None


def champion(store: Store, model: str) -> str:
    """The champion's run; empty: there is no champion."""
    return Champions(store).run_id(model)


def begun(store: Store, model: str, episode: RequestRecord) -> str:
    """The run of the ledger that an episode got; empty: none has begun."""
    if episode.adopted:
        return episode.run_id if Run(store, episode.run_id).summary() else ""
    found = claimed(store, model, episode.number)
    return found.run_id if found else ""


def logged(store: Store, model: str, dag_run_id: str) -> str:
    """The model's run that tasks of a DAG run logged by themselves; the last one, if there are several."""
    of_dag = [summary for summary in Summaries(store).read() if summary.dag_run_id == dag_run_id]
    return next((summary.run_id for summary in reversed(of_dag) if summary.model == model), "")


def verdict(store: Store, run_id: str) -> Ended | None:
    """How a run ended; None: it has not, or will be retried."""
    summary = _summary(store, run_id)
    if summary is None or summary.finished is None or not summary.decision:
        return None
    shipped = summary.decision == "ship" and summary.ships
    return Ended("shipped" if shipped else "held", run_id, summary.sentence)


def failure(store: Store, run_id: str) -> Ended:
    """Why a run that has ended in Airflow has no decision."""
    summary = _summary(store, run_id)
    error = summary.error if summary else ""
    return Ended("failed", run_id, error or "it ended in Airflow, and the ledger has no decision about it")


def silence(store: Store, run_id: str, now: float) -> Ended | None:
    """The end of a run that Airflow has lost and that counts as stalled at a Unix time; None: it may be at work."""
    summary = _summary(store, run_id)
    if summary is None or shown_state(summary, now, stalled_seconds()) not in ("stalled", "lost"):
        return None
    return Ended("failed", run_id, "Airflow has lost the run, and the ledger has not heard from it since")


def predictions(model: str, run_id: str, since: float) -> float:
    """How many predictions a version has made since a Unix time.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    now = time.time()
    named = f'catwalk_service_predictions_total{{model="{model}", version="{run_id}"}}'
    found = prometheus.over(f"sum(increase({named}[{max(60, round(now - since))}s]))", now, now, 60)
    return sum(value for one in found for value in one.samples.values())


def _summary(store: Store, run_id: str) -> SummaryRecord | None:
    with suppress(NotFoundError):
        return Run(store, run_id).summary() if run_id else None
    return None
