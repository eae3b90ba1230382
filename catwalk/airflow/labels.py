"""The DAG that joins late labels to the predictions of a service, every hour.

The library is imported inside the task, so that Airflow parses a DAG file in a moment.
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
"""Rows that are wrong."""
Source = str | Path | Callable[[], Any]


def labels_dag(
    model: str, *, dag_id: str, labels: Source | None = None, schedule: str = "@hourly", doc: str = ""
) -> DAG:
    """The DAG of one model's labels; a DAG file assigns it to a name of its own.

    Args:
        model: its name in the ledger.
        dag_id: names it for good.
        labels: a CSV file, or a function that returns what :func:`catwalk.labels` takes, such as the rows of a query;
            labels that are known already may come again. None: only what services have taken is joined.
        schedule: five fields of cron in UTC, a preset such as ``@hourly``, or ``None``, as a word.
        doc: what Airflow shows of it, in Markdown.

    Raises:
        ConfigError: there is no such time.
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
            """Stores new labels, joins all that there are to the log, and says how well each version did."""
            return _join(model, labels)

        join()

    return of_callers_file(joining())


def _join(model: str, labels: Source | None) -> dict[str, int]:
    """What has become of the labels, by its name."""
    from catwalk.service.labels import arrival

    taken = arrival.labels(model, labels() if callable(labels) else labels if labels is not None else ())
    for line in taken.refused[:_MOST_NAMED]:
        log.warning("refused: %s", line)
    if len(taken.refused) > _MOST_NAMED:
        log.warning("%d more rows are refused", len(taken.refused) - _MOST_NAMED)
    joined = taken.realised.labels if taken.realised else {}
    return {"new": taken.new, "known": taken.known, "refused": len(taken.refused), **joined}
