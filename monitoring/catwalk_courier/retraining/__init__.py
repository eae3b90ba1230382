"""Retraining on request: what an alert has asked for is asked of Airflow, followed, and judged."""
