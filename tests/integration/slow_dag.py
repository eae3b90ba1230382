"""The nightly retraining, slow enough for a test to interrupt it; never scheduled."""

from catwalk.airflow.retraining import retraining_dag

fashion_slow = retraining_dag("tests.models.slow:CLASSIFIER", dag_id="fashion_slow", schedule="None")
