"""The nightly retraining at a pace at which a test can catch it in the middle; never scheduled."""

from catwalk.airflow.retraining import retraining_dag

fashion_slow = retraining_dag("tests.models.slow:CLASSIFIER", dag_id="fashion_slow", schedule="None")
