"""Computes: dataset, network, training, evaluation, gate, run ledger on S3, reports.

Nothing here knows StatsD, Prometheus or Grafana: a stage calls the :class:`ml.observer.Observer` that is handed to it.
"""

import os

# OpenMP's threads spin while they wait, by default: beside another program on the same cores an epoch then takes many
# times longer. Read when torch is loaded, which nothing does before it has imported something from here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
