"""Computes: dataset, network, training, evaluation, gate, run ledger on S3, reports.

Nothing here knows StatsD, Prometheus or Grafana: a stage calls the :class:`ml.observer.Observer` that is handed to it.
"""
