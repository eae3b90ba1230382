"""Observes: what `ml` computes and Airflow runs becomes series in Prometheus, by StatsD and by the registry."""
