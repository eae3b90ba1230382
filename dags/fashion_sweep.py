"""Tries parameters of a recipe: plan → train, once per trial → choose by validation → test → decide, only for the best.

Each trial is a separate run in the ledger. Only the chosen trial is tested, and it ships if the gate allows it. A trial
that fails does not affect the others. The DAG is never scheduled. At most `CATWALK_SWEEP_PARALLEL` trials train at
once, over all sweeps, and all other tasks have priority, so the nightly retraining doesn't wait.
"""

from catwalk.airflow.sweep import sweep_dag

SPACE = {"peak_learning_rate": [0.05, 0.1, 0.2], "dropout": [0.0, 0.2]}
fashion_sweep = sweep_dag("ml.fashion_mnist:CLASSIFIER", dag_id="fashion_sweep", space=SPACE, doc=__doc__)
