"""A user's DAGs, which wait for a model to go into service."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

for dag_id, asset in {
    "deployment": "catwalk_champion",
    "deployment_of_garments": "catwalk_champion_mlp-synthetic",
    "deployment_of_shapes": "catwalk_champion_shapes",
}.items():
    with DAG(dag_id, schedule=[Asset(asset)], is_paused_upon_creation=False):
        EmptyOperator(task_id="deploy")
