"""Tries a recipe's parameters: plan → train, once a trial → choose by validation → test → decide, for the best alone.

Each trial is a run of its own in the ledger. The test split is looked at once, for the trial that was chosen; if the
gate lets it, it ships. A trial that fails leaves the others alone. Never scheduled. At most `CATWALK_SWEEP_PARALLEL`
trials train at once, over all sweeps, and any other task comes first: the nightly retraining need not wait.
"""

from catwalk.airflow.sweep import sweep_dag

SPACE = {"peak_learning_rate": [0.05, 0.1, 0.2], "dropout": [0.0, 0.2]}
fashion_sweep = sweep_dag("ml.fashion_mnist:CLASSIFIER", dag_id="fashion_sweep", space=SPACE, doc=__doc__)
