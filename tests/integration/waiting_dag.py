"""A DAG of somebody else's: it waits for a model to go into service."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

with DAG("deployment", schedule=[Asset("catwalk_champion")], is_paused_upon_creation=False):
    EmptyOperator(task_id="deploy")
