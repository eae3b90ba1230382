"""The DAG that joins labels, which arrive later, to the predictions of a service every hour.

The task imports the library, so that Airflow parses a DAG file quickly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, dag, task

from catwalk.airflow.tasks import DEFAULT_ARGS, documentation, of_callers_file, timetable

log = logging.getLogger("catwalk.dags")

_MOST_NAMED = 20
"""Maximum number of wrong rows that are listed."""
Source = str | Path | Callable[[], Any]


def labels_dag(
    model: str, *, dag_id: str, labels: Source | None = None, schedule: str = "@hourly", doc: str = ""
) -> DAG:
    """The DAG of one model's labels, for a DAG file to assign to a name.

    Args:
        model: The model's name in the ledger.
        dag_id: Its permanent name.
        labels: A CSV file, or a function that returns what :func:`catwalk.labels` accepts, such as the rows of a query.
            It may return known labels again. None: only labels that services received are joined.
        schedule: Five cron fields in UTC, a preset such as ``@hourly``, or the text ``None``.
        doc: Its description in Airflow, in Markdown.

    Raises:
        ConfigError: The schedule is invalid.
    """

    @dag(
        dag_id=dag_id,
        schedule=timetable(schedule),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags=["catwalk"],
        doc_md=documentation(doc),
    )
    def joining() -> None:
        @task
        def join() -> dict[str, int]:
            """Stores new labels, joins all labels to the log, and measures the realised quality of each version."""
            return _join(model, labels)

        join()

    return of_callers_file(joining())


def _join(model: str, labels: Source | None) -> dict[str, int]:
    """Outcome → number of labels."""
    from catwalk.service.labels import arrival

    taken = arrival.labels(model, labels() if callable(labels) else labels if labels is not None else ())
    for line in taken.refused[:_MOST_NAMED]:
        log.warning("refused: %s", line)
    if len(taken.refused) > _MOST_NAMED:
        log.warning("%d more rows were refused", len(taken.refused) - _MOST_NAMED)
    joined = taken.realised.labels if taken.realised else {}
    return {"new": taken.new, "known": taken.known, "refused": len(taken.refused), **joined}
