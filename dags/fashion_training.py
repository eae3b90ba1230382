"""Retrains the Fashion-MNIST classifier every night: ingest → train → test → decide, and publish whatever happens.

The stages are in `catwalk.stages`, and their telemetry in `catwalk.telemetry`. Both are imported inside the tasks, so
that Airflow parses this file quickly.
"""

from catwalk.airflow.retraining import retraining_dag

fashion_training = retraining_dag("ml.fashion_mnist:CLASSIFIER", dag_id="fashion_training", doc=__doc__)
