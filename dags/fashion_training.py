"""Retrains the Fashion-MNIST classifier once a night: ingest → train → test → decide, and publish whatever happens.

What each stage does is in `catwalk.stages`, what it tells the outside in `catwalk.telemetry`. Both are imported inside
the tasks, so that Airflow parses this file in a moment.
"""

from catwalk.airflow.retraining import retraining_dag

fashion_training = retraining_dag("ml.fashion_mnist:CLASSIFIER", dag_id="fashion_training", doc=__doc__)
