"""A DAG whose runs are over as soon as the scheduler sees them, without a process: they log nothing."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("empty", schedule=None, is_paused_upon_creation=False):
    EmptyOperator(task_id="nothing")
